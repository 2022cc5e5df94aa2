// Reads one drawing a line, as JSON: an SVG, the files of its fonts, and how much larger it is to be drawn.
// Answers each with a line: its PNG in base64, or what is wrong with it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { initWasm, Resvg } from "@resvg/resvg-wasm";

await initWasm(readFileSync(createRequire(import.meta.url).resolve("@resvg/resvg-wasm/index_bg.wasm")));
const read = new Map();

function font(file) {
  if (!read.has(file)) read.set(file, readFileSync(file));
  return read.get(file);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { svg, fonts, family, zoom } = JSON.parse(line);
  let answer;
  try {
    const drawing = new Resvg(svg, {
      background: "white",
      imageRendering: 1, // pixels stay squares, which also weigh less
      fitTo: { mode: "zoom", value: zoom },
      font: { fontBuffers: fonts.map(font), defaultFontFamily: family, sansSerifFamily: family },
    });
    const drawn = drawing.render();
    answer = { png: Buffer.from(drawn.asPng()).toString("base64") };
    drawn.free();
    drawing.free();
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
