// What one browser keeps of a page, and files made from it.

// A list kept under a name, newest first, for this window alone if so wanted; where the browser keeps nothing it lasts as
// long as the page.
export function keptList(name, most, {window: here = false} = {}) {
  const storage = () => here ? sessionStorage : localStorage; // either may be refused
  let items = [], unwritten = false;
  // Read anew each time: another window of this browser may have changed the list.
  function all() {
    if (unwritten) return items;
    try {
      const found = JSON.parse(storage().getItem(name) ?? "[]");
      if (Array.isArray(found)) items = found.filter((item) => item && typeof item.key === "string").slice(0, most);
    } catch { /* refused, or not ours */ }
    return items;
  }
  function keep(changed) {
    items = changed;
    try {
      storage().setItem(name, JSON.stringify(items));
      unwritten = false;
    } catch { // refused, or full
      unwritten = true;
    }
  }
  const without = (key) => all().filter((item) => item.key !== key);
  return {
    all,
    has: (key) => all().some((item) => item.key === key),
    add: (item) => keep([item, ...without(item.key)].slice(0, most)), // an item has a key, which is there once
    remove: (key) => keep(without(key)),
    clear: () => keep([]),
  };
}

// Rows of cells as CSV. A text that a spreadsheet would compute gets an apostrophe before it, except in exact rows, which
// a program reads again.
export function csvText(rows, {exact = false} = {}) {
  const cell = (value) => {
    const text = typeof value === "number" || exact ? String(value) : String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
}

export function saveFile(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A small copy of a picture as the address of its data, at most 12,000 letters; "" where the browser cannot make it.
export async function smallPicture(address, side = 96) {
  const picture = new Image(), canvas = document.createElement("canvas");
  picture.src = address;
  try {
    await picture.decode();
    const scale = Math.min(1, side / Math.max(picture.naturalWidth, picture.naturalHeight));
    canvas.width = Math.max(1, Math.round(picture.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(picture.naturalHeight * scale));
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const made = canvas.toDataURL("image/webp", 0.7);
    return made.length <= 12000 ? made : "";
  } catch {
    return "";
  }
}
