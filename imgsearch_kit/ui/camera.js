// A picture from the camera, in a dialog.
import {button, make} from "./dom.js";

// Resolves to a File, or null when the person closed the dialog.
// It throws an Error whose message says why there is no picture.
export async function takePicture(element) {
  const stream = await opened();
  const video = make("video", {autoplay: true, playsinline: true, "aria-label": "What the camera sees"});
  video.muted = true;
  video.srcObject = stream;
  const dialog = make("dialog", {class: "kit-camera", "aria-label": "Camera"}, video);
  try {
    return await new Promise((resolve) => {
      dialog.append(make("div", {class: "kit-actions"},
        button("Take the picture", () => still(video).then(resolve), {class: "kit-first"}),
        button("Cancel", () => resolve(null))));
      dialog.addEventListener("cancel", () => resolve(null));
      element.append(dialog);
      dialog.showModal();
    });
  } finally {
    dialog.remove();
    for (const track of stream.getTracks()) track.stop();
  }
}

async function opened() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("This browser gives pages a camera over https and on this machine only. Take a picture, and drop it here.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
  } catch (error) {
    if (error.name === "NotAllowedError") throw new Error("The camera is not allowed for this page. Allow it in the browser, or drop a picture.");
    throw new Error("No camera was found. Drop or upload a picture instead.");
  }
}

function still(video) {
  const canvas = make("canvas", {width: video.videoWidth, height: video.videoHeight});
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => {
    canvas.toBlob((blob) => resolve(new File([blob], "camera.jpg", {type: "image/jpeg"})), "image/jpeg", 0.92);
  });
}
