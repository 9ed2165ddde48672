// The query as the visitor sees it: the picture with its box, and the ways to give another one.
import {createCrop} from "../../ui/crop.js";
import {button, make} from "../../ui/dom.js";
import {createPicker} from "../../ui/given.js";

export function createAsked({onBox, onFile, onCamera, onAny, onClear}) {
  const frame = make("div"), name = make("p"), crop = createCrop(frame, {onChange: onBox});
  const input = createPicker(onFile, {"aria-label": "Choose a picture"});
  const place = make("div", {class: "place"}, frame, name);
  const cropping = button("Crop", () => press(cropping.getAttribute("aria-pressed") !== "true"), {"aria-pressed": "false", hidden: true});
  const clear = button("Clear", onClear, {hidden: true});
  const ways = [button("Choose a picture", () => input.click(), {class: "kit-first"}), button("Camera", onCamera)];
  const element = make("div", {class: "ask"}, place, make("div", {class: "ways"}, ways, cropping, button("Any picture", onAny, {title: "Search with any picture of the site"}), clear, input),
    make("p", {class: "private"}, "Your picture is embedded in this browser and is sent nowhere."));
  let address = "", file = null;

  frame.addEventListener("error", () => { frame.hidden = cropping.hidden = true; }, true); // a file that is no picture

  function press(on) {
    cropping.setAttribute("aria-pressed", String(on));
    crop.cropping(on);
  }

  return {
    element,
    // search as in search.js; thumbnail is that of a picture of the site, or "".
    show(search, thumbnail) {
      if (search.file !== file) {
        URL.revokeObjectURL(address);
        address = search.file ? URL.createObjectURL(search.file) : "";
        file = search.file;
        press(false);
      }
      const words = search.id ?? file?.name ?? "";
      if (words) place.dataset.query = words;
      else delete place.dataset.query;
      element.classList.toggle("asked", words !== "");
      frame.hidden = !words;
      if (words) crop.show(file ? address : thumbnail, words);
      crop.set(search.box);
      name.textContent = words || "Drop or paste a picture anywhere here, choose one, or take one";
      cropping.hidden = !file;
      clear.hidden = !words;
    },
    // Takes no picture any more, because this browser computes something else.
    refuse() {
      for (const each of [...ways, cropping]) each.disabled = true;
    },
  };
}
