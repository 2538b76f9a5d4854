// A click on a column's head sorts its table: first the largest on top, then the smallest.
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.tabIndex = 0;
  const sort = () => {
    const body = head.closest("table").tBodies[0];
    const at = head.cellIndex;
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[at].dataset.value ?? row.cells[at].textContent;
    const less = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = isNaN(x) || isNaN(y) ? y.localeCompare(x) : x - y;
      return up ? order : -order;
    };
    body.append(...[...body.rows].sort(less));
  };
  button.addEventListener("click", sort);
}
