// What fingers, mouse and wheel do on a map: pan, pinch, tap, point at a place, draw a lasso.

const MOVED = 4, MOVED_TOUCH = 10; // pixels below which a press is a tap

// does: pan(dx, dy), zoom(by, x, y), tap(x, y, touch), hover(x, y) or hover(null), lasso(places, done); draws() tells whether a press
// draws. Places are pixels from the element's corner.
export function watchGestures(element, does) {
  const fingers = new Map();
  let press = null; // {from, moved, line}: of the first finger
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = () => {
    const [[ax, ay], [bx, by]] = [...fingers.values()];
    return {far: Math.max(Math.hypot(ax - bx, ay - by), 1), x: (ax + bx) / 2, y: (ay + by) / 2};
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    element.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    if (fingers.size === 1) press = {from: at(event), moved: false, line: does.draws() || event.shiftKey ? [at(event)] : null};
    else if (press) {
      press.moved = true;
      if (press.line) does.lasso([], true);
      press.line = null;
    }
  });

  element.addEventListener("pointermove", (event) => {
    const [x, y] = at(event), before = fingers.get(event.pointerId);
    if (!before) return event.pointerType === "touch" ? undefined : does.hover(x, y);
    const was = fingers.size === 2 ? spread() : null;
    const enough = event.pointerType === "touch" ? MOVED_TOUCH : MOVED;
    if (!was && !press.moved && Math.hypot(x - press.from[0], y - press.from[1]) <= enough) return undefined;
    press.moved = true;
    fingers.set(event.pointerId, [x, y]);
    if (was) {
      const now = spread();
      does.pan(now.x - was.x, now.y - was.y);
      does.zoom(now.far / was.far, now.x, now.y);
    } else if (press.line) {
      press.line.push([x, y]);
      does.lasso(press.line, false);
    } else if (fingers.size === 1) does.pan(x - before[0], y - before[1]);
    return undefined;
  });

  function lift(event) {
    if (!fingers.delete(event.pointerId) || fingers.size) return;
    const {from, moved, line} = press;
    press = null;
    if (moved && line) does.lasso(line, true);
    else if (!moved && event.type === "pointerup") does.tap(...from, event.pointerType === "touch");
  }
  element.addEventListener("pointerup", lift);
  element.addEventListener("pointercancel", lift);
  element.addEventListener("pointerleave", () => { if (!fingers.size) does.hover(null); });
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    does.zoom(Math.exp(-Math.min(Math.max(event.deltaY * (event.deltaMode ? 20 : 1), -120), 120) * 0.002), ...at(event));
  }, {passive: false});
}
