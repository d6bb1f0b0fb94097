/* The camera of this browser: what it sees, as JPEG files. */
const QUALITY = 0.95;

/* A sentence for why there is no camera. */
export function cameraProblem(error) {
  if (!window.isSecureContext) {
    return "A browser gives its camera to pages over HTTPS or on localhost alone, and this page is neither: start the station with --certificate and open the page over HTTPS, open it on the station's own computer, or use a camera of the station.";
  }
  const sentences = {
    NotAllowedError: "The browser may not use its camera on this page: allow it beside the address, and start again.",
    NotFoundError: "This browser has no camera: connect one, or choose a source of the station.",
    NotReadableError: "The camera is used by another program: close that, and start again.",
    OverconstrainedError: "The camera that was chosen is no longer there: choose another.",
  };
  return sentences[error.name] || `The camera cannot be opened (${error.name}): start again.`;
}

/* The cameras of this browser, { id, label }; labels are empty until one was allowed. */
export async function listCameras() {
  if (!navigator.mediaDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices
    .filter((each) => each.kind === "videoinput")
    .map((each, number) => ({ id: each.deviceId, label: each.label || `Camera ${number + 1}` }));
}

export class Camera {
  /* Opens a camera; ended() is called if it is lost. */
  static async open(deviceId, ended) {
    if (!navigator.mediaDevices) throw Object.assign(new Error("no cameras"), { name: "SecurityError" });
    const wanted = { width: { ideal: 640 }, height: { ideal: 480 } };
    if (deviceId) wanted.deviceId = { exact: deviceId };
    else wanted.facingMode = "environment";
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const camera = new Camera(stream);
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (!camera.isClosed) ended();
    });
    await camera.video.play();
    return camera;
  }

  constructor(stream) {
    this.stream = stream;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.srcObject = stream;
  }

  /* The next frame that was not taken yet: { canvas, blob, width, height, at }; null when the camera is closed. */
  async take() {
    await this.next();
    if (this.isClosed || !this.video.videoWidth) return null;
    const at = performance.now();
    const canvas = document.createElement("canvas");
    canvas.width = this.video.videoWidth;
    canvas.height = this.video.videoHeight;
    canvas.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return { canvas, blob, width: canvas.width, height: canvas.height, at };
  }

  /* Waits for a new frame; a page in the background gets none from the video, and looks again after a while. */
  next() {
    return new Promise((done) => {
      const timer = setTimeout(done, 500);
      if (this.video.requestVideoFrameCallback) {
        this.video.requestVideoFrameCallback(() => {
          clearTimeout(timer);
          done();
        });
      }
    });
  }

  close() {
    this.isClosed = true;
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}
