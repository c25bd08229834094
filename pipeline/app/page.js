// Camera and microphone: what they give goes the way of any uploaded file, through the uploader with the number `id`.
const talkingHead = {
  pick: (id) => runMethod(id, "pickFiles", []),

  give: (id, files) => runMethod(id, "addFiles", [files]),

  unhappy: (error) =>
    emitEvent("unhappy", error.name === "NotAllowedError" ? "the browser was not allowed to use it" : error.message),

  // A dialog that shows the camera's picture, to be taken or not.
  async camera(id) {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    } catch (error) {
      return talkingHead.unhappy(error);
    }
    const dialog = document.createElement("dialog");
    dialog.className = "camera";
    dialog.setAttribute("aria-label", "Camera");
    dialog.innerHTML = `<video autoplay muted playsinline></video><div><button>Take the photo</button><button>Cancel</button></div>`;
    const video = dialog.querySelector("video");
    const [take, cancel] = dialog.querySelectorAll("button");
    video.srcObject = stream;
    dialog.onclose = () => {
      stream.getTracks().forEach((track) => track.stop());
      dialog.remove();
    };
    cancel.onclick = () => dialog.close();
    take.onclick = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => talkingHead.give(id, [new File([blob], "camera.png", { type: "image/png" })]));
      dialog.close();
    };
    document.body.append(dialog);
    dialog.showModal();
  },

  // The same button begins and ends a recording, of at most `seconds`.
  async record(id, button, seconds) {
    if (button.recorder) return button.recorder.stop();
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      return talkingHead.unhappy(error);
    }
    const recorder = new MediaRecorder(stream), label = button.querySelector(".block"), before = label.textContent, parts = [];
    const begun = Date.now();
    const clock = setInterval(() => {
      const gone = Math.floor((Date.now() - begun) / 1000);
      label.textContent = `Stop (${Math.floor(gone / 60)}:${String(gone % 60).padStart(2, "0")})`;
      if (gone >= seconds) recorder.stop();
    }, 200);
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      clearInterval(clock);
      stream.getTracks().forEach((track) => track.stop());
      label.textContent = before;
      delete button.recorder;
      const type = recorder.mimeType.split(";")[0];
      talkingHead.give(id, [new File(parts, `recording.${type.split("/")[1]}`, { type })]);
    };
    button.recorder = recorder;
    recorder.start();
  },
};
