// Names the built page's script by its hash in its policy, so that no other runs, and writes down which sources the
// page was made from; tests/view compares.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const page = "../metta/view/page/index.html";
const html = readFileSync(page, "utf8");
const script = html.match(/<script type="module"[^>]*>([^]*?)<\/script>/)[1];
const known = `'sha256-${createHash("sha256").update(script).digest("base64")}'`;
writeFileSync(page, html.replace("script-src 'self' 'unsafe-inline'", () => `script-src ${known}`));

const files = readdirSync("src", { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).replaceAll("\\", "/"))
  .concat(["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts", "../metta/view/palette.json"])
  .sort();
const hash = createHash("sha256");
for (const file of files) hash.update(`${file}\n`).update(readFileSync(file));
writeFileSync("../metta/view/page/sources.sha256", `${hash.digest("hex")}\n`);
