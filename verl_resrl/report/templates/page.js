// Copyright 2026 The verl_resrl authors
// SPDX-License-Identifier: Apache-2.0
"use strict";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const figures = read("figures");
const state = read("state"); // what the controls are set to
const views = read("views");
const narrow = window.matchMedia("(max-width: 760px)").matches;

// ---- charts and tables follow the controls

function draw(plot) {
  const chart = figures[plot.dataset.chart];
  const figure = chart.figures[chart.controls.map((control) => state[control]).join("|")];
  const config = { responsive: true, displaylogo: false, modeBarButtons: [["resetScale2d", "toImage"]],
    displayModeBar: narrow ? false : "hover" };
  Plotly.react(plot, figure.data, narrow ? onPhone(figure) : withRoom(figure, plot.clientWidth), config);
}

const numEntries = (data) => data.filter((trace) => trace.showlegend !== false).length;

// the legend of many methods does not take the plot's place: two rows of it fit as they are
function withRoom({ data, layout }, width) {
  const rows = Math.ceil(numEntries(data) * 150 / width);
  return { ...layout, height: layout.height + 22 * Math.max(0, rows - 2) };
}

// on a phone, a finger on a chart scrolls the page, and a long legend does not take the plot's place
function onPhone({ data, layout }) {
  const height = Math.min(layout.height, 360) + 28 * Math.floor(numEntries(data) / 2.5);
  return { ...layout, dragmode: false, height };
}

function showRows() {
  for (const row of document.querySelectorAll("[data-source], [data-k]")) {
    const { source, k } = row.dataset;
    row.hidden = (source !== undefined && source !== state.source) || (k !== undefined && k !== state.k);
  }
}

for (const select of document.querySelectorAll("select[data-control]")) {
  select.addEventListener("change", () => {
    const control = select.dataset.control;
    state[control] = select.value;
    for (const other of document.querySelectorAll(`select[data-control="${control}"]`)) other.value = select.value;
    for (const plot of document.querySelectorAll(".plot")) {
      if (figures[plot.dataset.chart].controls.includes(control)) draw(plot);
    }
    showRows();
  });
}

document.querySelectorAll(".plot").forEach(draw);
showRows();

// ---- the viewer of token weights

if (views.length) {
  const at = (id) => document.getElementById(id);
  const run = at("view-run"), problem = at("view-problem"), by = at("view-weights"), negative = at("view-negative");
  let chosen = -1;

  const current = () => views[run.value].problems[problem.value];

  function choose(index) {
    const { tokens } = current().negative;
    if (!(index >= 0 && index < tokens.length)) return;
    negative.children[chosen]?.classList.remove("chosen");
    chosen = index;
    negative.children[chosen].classList.add("chosen");
    at("view-readout").textContent =
      `Token ${index + 1} of ${tokens.length}: ${JSON.stringify(tokens[index])}, ${describe(index)}`;
  }

  const number = (value) => (value === null ? "not defined" : value.toPrecision(3));

  function describe(index) {
    const { weights, residuals, interferences } = current().negative;
    return `weight ${weights[by.value][index].toFixed(2)}, residual ${number(residuals[index])}, ` +
      `interference ${number(interferences[index])}`;
  }

  function show() {
    const shown = current();
    const { tokens } = shown.negative, names = Object.keys(shown.negative.weights);
    const wanted = names.includes(by.value) ? by.value : names[0];
    by.replaceChildren(...names.map((name) => new Option(name, name, false, name === wanted)));
    const weights = shown.negative.weights[wanted];
    chosen = -1;
    at("view-weighed").textContent = shown.weighed;
    at("view-prompt").textContent = shown.prompt;
    at("view-positive").textContent = shown.positive.tokens.join("");
    negative.replaceChildren(...tokens.map((token, index) => {
      const span = document.createElement("span");
      span.className = `w${Math.min(9, Math.floor(weights[index] * 10))}`;
      span.classList.toggle("one-line", !token.includes("\n")); // it and its number stay together
      span.textContent = token;
      span.title = describe(index);
      span.dataset.weight = weights[index].toFixed(1);
      span.dataset.index = index;
      return span;
    }));
    at("view-readout").textContent = "Point at, tap, or walk with the arrow keys through the tokens of the wrong response.";
  }

  function listProblems() {
    problem.replaceChildren(...views[run.value].problems.map((entry, index) => new Option(`${entry.problem}`, index)));
    show();
  }

  run.addEventListener("change", listProblems);
  problem.addEventListener("change", show);
  by.addEventListener("change", show);
  at("view-numbers").addEventListener("change", (event) => negative.classList.toggle("numbers", event.target.checked));
  for (const event of ["mouseover", "click"]) {
    negative.addEventListener(event, ({ target }) => {
      if (target.dataset.index !== undefined) choose(Number(target.dataset.index));
    });
  }
  negative.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.max(0, chosen + step));
    negative.children[chosen].scrollIntoView({ block: "nearest" });
  });
  listProblems();
}
