// What a reader of a page does in any browser. It returns a list of what is wrong.
async () => {
  const wrong = [];
  async function wait(name, what) {
    for (let tenths = 0; tenths < 600; tenths++) {
      const found = what();
      if (found) return found;
      await new Promise((done) => setTimeout(done, 100));
    }
    wrong.push(`${name} did not come`);
  }
  await wait("the theme's script", () => document.documentElement.classList.contains("js") && document.querySelector("[data-md-component=search-query]"));
  if (!document.querySelector("article h1")?.getClientRects().length) wrong.push("the title does not show");
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("it scrolls sideways");
  for (const figure of document.querySelectorAll("figure svg")) {
    const { width, height } = figure.getBoundingClientRect();
    if (!figure.closest("details") && (width < 50 || height < 20)) wrong.push(`a figure has ${width} by ${height} pixels`);
  }
  const symbol = document.querySelector(".katex .mathnormal");
  if (symbol && !getComputedStyle(symbol).fontFamily.includes("KaTeX_Math")) wrong.push("formulas lack their style");

  const box = document.querySelector("[data-md-component=search-query]");
  box.focus();
  box.value = "softmax";
  box.dispatchEvent(new InputEvent("input", { bubbles: true }));
  await wait("a result of the search", () => document.querySelector("a.md-search-result__link mark"));

  const start = document.querySelector(".live-start button");
  if (start) {
    start.click();
    await wait("the live model", () => document.querySelector(".live-running .live-panel"));
    const said = document.querySelector(".live .live-status")?.textContent ?? "";
    if (!document.querySelector(".live-running")) wrong.push(`the model says: ${said}`);
  }
  return wrong;
}
