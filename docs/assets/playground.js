// The playground's page: files in one text, an answer as a coloured diff.  Nothing is fetched before "Start".
const here = document.getElementById("play");
const [start, run] = here.querySelectorAll("button");
const [project, options, state, said, diff] = ["project", "options", "state", "said", "diff"].map(
  (name) => here.querySelector(`[name=${name}]`),
);
const choice = here.querySelector("select");
const SEPARATOR = /^=== (\S.*)\n/m;
let worker;

const examples = await (await fetch(new URL("examples.json", import.meta.url))).json();
for (const name of Object.keys(examples)) choice.add(new Option(name));
choice.onchange = () => {
  project.value = Object.entries(examples[choice.value])
    .map(([name, text]) => `=== ${name}\n${text}`)
    .join("\n");
};
choice.onchange();

start.onclick = () => {
  start.disabled = true;
  state.textContent = "Fetching Python and its packages, some 20 MB the first time ...";
  worker = new Worker(new URL("playground_worker.js", import.meta.url), { type: "module" });
  worker.onerror = (event) => { state.textContent = `It does not start: ${event.message || "the worker cannot be loaded"}`; };
  worker.onmessage = ({ data }) => {
    if (data.failed) state.textContent = `It does not start: ${data.failed}`;
    else if (data.ready) {
      state.textContent = `Python ${data.ready} is ready, in your browser.`;
      run.disabled = false;
    } else show(data);
  };
};

run.onclick = () => {
  run.disabled = true;
  state.textContent = "harden . --diff " + options.value + " ...";
  const parts = project.value.split(SEPARATOR);
  if (parts.length === 1) parts.unshift("", "Dockerfile");
  const files = {};
  for (let at = 1; at < parts.length; at += 2) files[parts[at].trim()] = parts[at + 1].replace(/\n\n$/, "\n");
  worker.postMessage({ files, options: options.value });
};

function show(answer) {
  run.disabled = false;
  state.textContent = `Exit code ${answer.code}, ${Math.round(answer.milliseconds)} ms.`;
  said.textContent = answer.said;
  diff.replaceChildren(
    ...answer.diff.split("\n").flatMap((line) => {
      const one = document.createElement("span");
      one.className = { "+": "gi", "-": "gd", "@": "gu" }[line[0]] || "";
      one.textContent = line;
      return [one, "\n"];
    }),
  );
}
