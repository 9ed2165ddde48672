// The tab that says what the site is, who made its vectors, and what happens with a visitor's picture.
import {make} from "../../ui/dom.js";

export function showAbout(element, site) {
  const classes = site.classes.length ? ` in ${site.classes.length} classes` : "";
  element.append(make("div", {class: "about"},
    make("h2", {}, "About this site"),
    make("p", {}, `${site.count.toLocaleString("en")} pictures${classes}. Hits are the pictures whose vectors have the largest cosine to that of the query, all compared exactly.`),
    make("p", {}, "A picture that you drop, paste or take is embedded in your own browser. It leaves your machine at no time, and nobody learns of it."),
    make("p", {}, `The network is that which made the vectors of this site. Two probe pictures are computed here after your first picture, and compared with those of the maker; below a cosine of ${site.probes.least} no dropped picture is searched for.`),
    make("dl", {}, site.passport.map(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])),
    make("p", {class: "said"}, `Packed by imgsearch-kit ${site.kit}. The network is computed by ONNX Runtime Web; its licence lies in the folder runtime.`)));
}
