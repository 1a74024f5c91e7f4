// What moves on the page: clips that play in step, a timeline, and buttons that copy.
(() => {
  const sheets = new Map(); // by address: promise of the image
  const load = (address) => {
    if (sheets.size > 40) sheets.clear(); // of earlier results
    if (!sheets.has(address)) {
      sheets.set(address, new Promise((done) => {
        const image = new Image();
        image.onload = () => done(image);
        image.onerror = () => done(null); // deleted by now: the canvas stays dark
        image.src = address;
      }));
    }
    return sheets.get(address);
  };

  const draw = async (canvas, time) => {
    const image = await load(canvas.dataset.sheet);
    const frame = time - Number(canvas.dataset.start), columns = Number(canvas.dataset.columns);
    const pen = canvas.getContext("2d");
    if (!image || frame < 0) return pen.clearRect(0, 0, canvas.width, canvas.height);
    const x = (frame % columns) * canvas.width, y = Math.floor(frame / columns) * canvas.height;
    pen.drawImage(image, x, y, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
  };

  const when = (time, given) => (time < given ? `given, ${time - given + 1}` : `+${time - given + 1}`);

  const start = async (player) => {
    const screens = [...player.querySelectorAll(".nf-screen")], slider = player.querySelector("input");
    const button = player.querySelector(".nf-play"), labels = player.querySelectorAll(".nf-when");
    const given = Number(player.dataset.given), count = given + Number(player.dataset.ahead);
    let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const show = (time) => {
      slider.value = time;
      player.classList.toggle("nf-ahead", time >= given);
      labels.forEach((label) => { label.textContent = when(time, given); });
      screens.forEach((canvas) => draw(canvas, time));
    };
    const play = (on) => {
      playing = on;
      button.textContent = on ? "❚❚" : "▶";
    };
    button.addEventListener("click", () => play(!playing));
    slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
    await Promise.all(screens.map((canvas) => load(canvas.dataset.sheet)));
    player.dataset.ready = "yes";
    play(playing);
    show(playing ? 0 : given);
    const pause = 6; // frames that the last one stays
    let time = 0;
    const timer = setInterval(() => {
      if (!player.isConnected) clearInterval(timer);
      if (!playing) { time = Number(slider.value); return; }
      time = (time + 1) % (count + pause);
      show(Math.min(time, count - 1));
    }, 1000 / Number(player.dataset.fps));
  };

  const copy = async (button) => {
    const code = button.closest(".nf-command").querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch { // a page that is not of localhost has no clipboard without https
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };

  const look = () => {
    document.querySelectorAll(".nf-player:not([data-on])").forEach((player) => {
      player.dataset.on = "yes";
      start(player);
    });
    document.querySelectorAll(".nf-still:not([data-on])").forEach((canvas) => {
      canvas.dataset.on = "yes";
      draw(canvas, Number(canvas.dataset.at));
    });
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".nf-copy");
    if (button) copy(button);
    if (event.target.closest(".nf-help")) {
      event.preventDefault();
      [...document.querySelectorAll("button[role=tab]")].find((tab) => tab.textContent.trim() === "Help").click();
    }
    if (event.target.closest("#predict") && innerWidth < 760) {
      document.querySelector("#status").scrollIntoView({ behavior: "smooth" });
    }
  });
  const watch = () => {
    look();
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  };
  if (document.body) watch();
  else addEventListener("DOMContentLoaded", watch);
})();
