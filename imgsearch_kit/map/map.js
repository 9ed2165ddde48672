// The map as a page of its own: the explorer over the data in the page.
import {createExplorer} from "../ui/explorer.js";

const {thumbnails, near, cosines, kept, ...points} = JSON.parse(document.getElementById("data").textContent);
const rows = new Map(points.ids.map((id, row) => [id, row]));
const explorer = createExplorer(document.getElementById("map"), {
  thumbnails: async (ids) => Object.fromEntries(ids.map((id) => [id, thumbnails[rows.get(id)] ?? ""])),
  near: async (id) => {
    const row = rows.get(id);
    return {near: near[row].map((each) => points.ids[each]), cosines: cosines[row], kept: kept[row].map(Boolean)};
  },
});
explorer.show(points);
document.documentElement.dataset.ready = "true";
