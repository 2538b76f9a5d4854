for (const wipe of document.querySelectorAll(".wipe")) {
  const range = wipe.querySelector("input[type=range]");
  const move = () => {
    wipe.style.setProperty("--at", range.value + "%");
    const { left, right } = wipe.dataset;
    range.setAttribute("aria-valuetext", range.value + " % " + left + ", the rest " + right);
  };
  range.addEventListener("input", move);
  for (const choice of wipe.querySelectorAll("input[type=radio]")) {
    const choose = () => {
      if (!choice.checked) return;
      [wipe.dataset.left, wipe.dataset.right] = choice.value.split(" ");
      move();
    };
    choice.addEventListener("change", choose);
    choose();
  }
  move();
}
