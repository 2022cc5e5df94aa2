// Beside the theme's copy button of a block: one that copies the sections of the program that it needs, too.
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    target.querySelector("pre").append(button(target));
  }
}, { rootMargin: "100px" });

function code(id) {
  return document.getElementById(id).querySelector("code").textContent.trim();
}

function button(block) {
  const [title, copied] = JSON.parse(block.querySelector(".needs").dataset.words);
  const made = Object.assign(document.createElement("button"), { type: "button", className: "md-code__button copy-needs", title });
  made.addEventListener("click", async () => {
    const parts = [...block.dataset.needs.split(" "), block.id].map(code);
    await navigator.clipboard.writeText(parts.join("\n\n\n") + "\n");
    window.alert$?.next(copied); // the theme's own notice
  });
  return made;
}

for (const block of document.querySelectorAll("[data-needs]")) near.observe(block);
