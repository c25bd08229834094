"use strict";

// Tables: a click on a column's head sorts by it, best first; another one turns it round. What has no figure stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) head.firstElementChild.addEventListener("click", () => sort(table, heads, column));
}

function sort(table, heads, column) {
  const head = heads[column];
  const first = head.dataset.better === "1" ? "descending" : "ascending";
  const turned = { ascending: "descending", descending: "ascending" };
  const order = head.ariaSort in turned ? turned[head.ariaSort] : first;
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const value = (row) => {
    const cell = row.cells[column];
    if (cell.tagName === "TH") return cell.textContent;
    return isNaN(cell.dataset.value) ? cell.dataset.value : Number(cell.dataset.value);
  };
  const known = (row) => row.cells[column].tagName === "TH" || "value" in row.cells[column].dataset;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    return (x < y ? -1 : x > y ? 1 : 0) * (order === "ascending" ? 1 : -1);
  };
  const rows = [...table.tBodies[0].rows];
  table.tBodies[0].append(...rows.filter(known).sort(compare), ...rows.filter((row) => !known(row)));
}

// Figures that lead to a clip: one of them is reached by Tab, the others from there by arrow keys.
for (const body of document.querySelectorAll("table.sortable tbody")) {
  const buttons = [...body.querySelectorAll("td button")];
  const reach = (button) => buttons.forEach((other) => (other.tabIndex = other === button ? 0 : -1));
  reach(buttons[0]);
  body.addEventListener("focusin", (event) => buttons.includes(event.target) && reach(event.target));
  body.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || !buttons.includes(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
    const cell = event.target.closest("td");
    let [row, column] = [cell.parentElement.sectionRowIndex, cell.cellIndex];
    let next;
    do {
      row += step[0];
      column += step[1];
      next = body.rows[row]?.cells[column];
    } while (next && !next.querySelector("button"));
    next?.querySelector("button").focus();
  });
}

// The players: the real clip leads, and is heard; all others follow it.
const REACT = 2; // by how much faster a video plays for each second that it is behind
const TOO_FAR = 0.2; // seconds behind or ahead from which on a video jumps
const LINES = [[0, 17], [17, 22], [22, 27], [27, 31], [31, 36], [36, 42, true], [42, 48, true], [48, 60, true], [60, 68, true]];
const landmarksOf = {}; // clip → system → its landmarks, as they were loaded

function receiveLandmarks(clip, found) {
  landmarksOf[clip] = {};
  for (const [system, written] of Object.entries(found)) {
    const bytes = Uint8Array.from(atob(written), (letter) => letter.charCodeAt(0));
    landmarksOf[clip][system] = new DataView(bytes.buffer);
  }
  document.dispatchEvent(new Event("landmarks"));
}

if (document.getElementById("players")) startPlayers(JSON.parse(document.getElementById("clips").textContent));

function startPlayers(data) {
  const by = (id) => document.getElementById(id);
  const [clips, metric, order, scrub, said] = ["clip", "metric", "order", "scrub", "said"].map(by);
  const figures = [...document.querySelectorAll("figure[data-system]")];
  const videos = new Map(figures.map((figure) => [figure.dataset.system, figure.querySelector("video")]));
  const leader = videos.get(data.real);
  const shown = () => figures.filter((figure) => !figure.hidden).map((figure) => videos.get(figure.dataset.system));
  const valueOf = (clip, system) => data.values[clip]?.[system]?.[metric?.value] ?? null;
  const speed = () => Number(by("speed").value);

  // Which clips there are, in which order; worst first is by the figure that was chosen.
  function list(chosen) {
    const system = order?.value;
    const names = Object.keys(data.clips);
    if (system) {
      const better = data.metrics[metric.value].better;
      const badness = (clip) => {
        const value = valueOf(clip, system);
        if (value === null) return -Infinity;
        return better ? -better * value : Math.abs(value);
      };
      names.sort((a, b) => badness(b) - badness(a) || (a < b ? -1 : 1));
    }
    clips.replaceChildren(...names.map((name) => new Option(system ? `${name}: ${written(valueOf(name, system))}` : name, name)));
    clips.value = chosen ?? names[0];
  }

  const written = (value) => (value === null ? "–" : value.toFixed(data.metrics[metric.value].digits));

  function label() {
    for (const figure of figures) {
      figure.classList.toggle("marked", figure.dataset.system === order?.value);
      if (metric) figure.querySelector(".value").textContent = written(valueOf(clips.value, figure.dataset.system));
    }
    said.textContent = order?.value
      ? `${clips.selectedIndex + 1} of the ${clips.length} clips here, the worst of ${order.value} by ${data.metrics[metric.value].label} first.`
      : `${clips.selectedIndex + 1} of ${clips.length} clips.`;
  }

  function load() {
    pause();
    const { videos: sources, landmarks } = data.clips[clips.value];
    for (const figure of figures) {
      const [system, video] = [figure.dataset.system, videos.get(figure.dataset.system)];
      const wanted = document.querySelector(`input.shown[value="${CSS.escape(system)}"]`)?.checked ?? true;
      figure.hidden = !(wanted && sources[system]);
      if (sources[system] && video.getAttribute("src") !== sources[system]) video.src = sources[system];
    }
    if (by("landmarks").checked && !landmarksOf[clips.value]) {
      const script = document.createElement("script");
      script.src = landmarks;
      document.head.append(script);
    }
    label();
  }

  function seek(seconds) {
    for (const video of shown()) video.currentTime = Math.max(0, Math.min(seconds, video.duration || 0));
  }

  function play() {
    if (leader.ended) seek(0);
    by("play").textContent = "Pause";
    for (const video of shown()) {
      video.playbackRate = speed();
      video.play().catch((error) => error.name === "AbortError" || (said.textContent = `A video cannot be played: ${error.message}`));
    }
    requestAnimationFrame(follow);
  }

  function pause() {
    by("play").textContent = "Play";
    for (const video of videos.values()) video.pause();
  }

  const toggle = () => (leader.paused ? play() : pause());

  // While the leader plays: whoever is behind plays a little faster, whoever is far behind jumps.
  function follow() {
    show();
    if (leader.paused) return;
    for (const video of shown()) {
      if (video === leader || video.readyState < 2 || leader.currentTime >= video.duration) continue;
      const behind = leader.currentTime - video.currentTime;
      if (Math.abs(behind) > TOO_FAR) video.currentTime = leader.currentTime;
      video.playbackRate = speed() * (1 + Math.max(-0.5, Math.min(0.5, REACT * behind)));
      if (video.paused) video.play().catch(() => {});
    }
    requestAnimationFrame(follow);
  }

  function show() {
    scrub.value = leader.currentTime;
    by("time").textContent = `${leader.currentTime.toFixed(2)} s`;
    for (const figure of figures) draw(figure);
  }

  function draw(figure) {
    const [system, canvas] = [figure.dataset.system, figure.querySelector("canvas")];
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, side, side);
    const found = landmarksOf[clips.value];
    if (!by("landmarks").checked || !found) return;
    const style = getComputedStyle(figure);
    const truth = data.truths[system];
    for (const [whose, colour] of [[truth, "--drawn-real"], [system === truth ? null : system, "--drawn-found"]])
      if (found[whose]) trace(pen, found[whose], videos.get(system).currentTime, side, style.getPropertyValue(colour));
  }

  function trace(pen, view, seconds, side, colour) {
    const last = view.byteLength / (68 * 4) - 1;
    const frame = Math.min(last, frameAt(seconds));
    const at = (point, axis) => view.getInt16(2 * ((68 * frame + point) * 2 + axis), true);
    if (at(0, 0) === data.noFace) return;
    pen.strokeStyle = colour;
    pen.lineWidth = Math.max(1, side / 160);
    pen.beginPath();
    for (const [first, stop, closed] of LINES) {
      for (let point = first; point < stop; point++)
        pen[point === first ? "moveTo" : "lineTo"]((at(point, 0) / data.parts) * side, (at(point, 1) / data.parts) * side);
      if (closed) pen.closePath();
    }
    pen.stroke();
  }

  // To the middle of a frame's time: at its very beginning, rounding would show the one before.
  function goToFrame(frame) {
    pause();
    seek((Math.max(0, frame) + 0.5) / data.fps);
  }

  const frameAt = (seconds) => Math.floor(seconds * data.fps + 0.01);

  function goTo(places) {
    clips.selectedIndex = (clips.selectedIndex + places + clips.length) % clips.length;
    load();
  }

  clips.addEventListener("change", load);
  for (const choice of [metric, order]) choice?.addEventListener("change", () => (list(clips.value), label()));
  order?.addEventListener("change", () => order.value && (list(), load()));
  for (const box of document.querySelectorAll("input.shown")) box.addEventListener("change", load);
  by("previous").addEventListener("click", () => goTo(-1));
  by("next").addEventListener("click", () => goTo(1));
  by("play").addEventListener("click", toggle);
  by("landmarks").addEventListener("change", () => (load(), show()));
  by("sound").addEventListener("change", () => (leader.muted = !by("sound").checked));
  by("speed").addEventListener("change", () => shown().forEach((video) => (video.playbackRate = speed())));
  scrub.addEventListener("input", () => goToFrame(Math.round(scrub.value * data.fps)));
  leader.addEventListener("loadedmetadata", () => ((scrub.max = leader.duration), (scrub.step = 1 / data.fps), show()));
  leader.addEventListener("ended", () => (by("repeat").checked ? play() : pause()));
  for (const video of videos.values()) video.addEventListener("seeked", show);
  for (const event of ["landmarks", "resize"]) (event === "resize" ? window : document).addEventListener(event, show);

  document.addEventListener("keydown", (event) => {
    const { top, bottom } = by("players").getBoundingClientRect();
    const isSeen = top < innerHeight / 2 && bottom > innerHeight / 2;
    const isTaken = event.target.closest(`input, select, summary, a, .scroll${event.key === " " ? ", button" : ""}`);
    if (!isSeen || isTaken || event.ctrlKey || event.altKey || event.metaKey) return;
    const does = {
      " ": toggle,
      ArrowLeft: () => goToFrame(frameAt(leader.currentTime) - 1),
      ArrowRight: () => goToFrame(frameAt(leader.currentTime) + 1),
      n: () => goTo(1),
      p: () => goTo(-1),
      l: () => by("landmarks").click(),
    }[event.key.length > 1 ? event.key : event.key.toLowerCase()];
    if (does) {
      event.preventDefault();
      does();
    }
  });

  // From a figure of the leaderboard to the clip in which it is worst.
  for (const button of document.querySelectorAll("td button[data-system]"))
    button.addEventListener("click", () => {
      [metric.value, order.value] = [button.dataset.metric, button.dataset.system];
      list();
      load();
      by("players").closest("section").scrollIntoView();
      by("play").focus({ preventScroll: true });
    });

  list();
  load();
}
