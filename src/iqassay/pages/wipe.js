// Pictures on each other: a slider moves the border between two of them, and buttons choose which two.
function makeWipe(wipe) {
  const range = wipe.querySelector("input[type=range]");
  const sides = [...wipe.querySelectorAll(".side")];
  let [left, right] = ["left", "right"].map((end) => wipe.querySelector(".side." + end)?.dataset.name);
  const move = () => {
    wipe.style.setProperty("--at", range.value + "%");
    range.setAttribute("aria-valuetext", range.value + " % " + left + ", the rest " + right);
  };
  range.addEventListener("input", move);
  for (const choice of wipe.querySelectorAll("input[type=radio]")) {
    const choose = () => {
      if (!choice.checked) return;
      [left, right] = choice.value.split(" ");
      for (const side of sides) {
        side.classList.toggle("left", side.dataset.name === left);
        side.classList.toggle("right", side.dataset.name === right);
      }
      move();
    };
    choice.addEventListener("change", choose);
    choose();
  }
  move();
}
