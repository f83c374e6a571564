// Curves: panels of a few runs, or one quantity of many members.
const NO_FIELD = '';
const curveState = {
  quantity: study.start.quantity,
  colour: study.start.colour,
  along: 'step',
  hidden: new Set(),
};

// The groups of lines, each with a label and a colour.
function groupsOf(by) {
  if (study.kind === 'run') {
    const keys = Object.keys(study.members[0].curves);
    return study.splits.filter(([split]) => keys.some((key) => key.startsWith(split)))
      .map(([split, label, colour]) => ({ key: split, label, colour }));
  }
  if (by === 'verdict') {
    return Object.keys(study.verdicts)
      .filter((v) => study.members.some((m) => m.verdict === v))
      .map((v) => [v, study.verdicts[v][0]])
      .map(([v, fill]) => ({ key: v, label: v, colour: fill === 'none' ? study.outline : fill }));
  }
  const [labels, colours] = by === NO_FIELD
    ? [study.members.map((m) => m.name), study.colours]
    : [study.groups[by].labels, study.groups[by].colours];
  return labels.map((label, i) => ({ key: String(i), label, colour: colours[i] }));
}

function groupKey(by, index, split) {
  if (study.kind === 'run') return split;
  if (by === 'verdict') return study.members[index].verdict;
  return String(by === NO_FIELD ? index : study.groups[by].of[index]);
}

function xValues(member, curve) {
  const steps = study.steps[curve[0]];
  return curveState.along === 'epoch' ? steps.map((s) => s * member.epochs_per_step) : steps;
}

function lineTrace(index, split, curve, colour) {
  const member = study.members[index];
  const few = study.members.length <= 8;
  const steady = split === 'evaluation' && few;
  const dots = (steady && curve[1].length <= 60) || curve[1].length === 1;
  const suffix = study.kind === 'sweep' ? '' : `, ${split}`;
  return {
    x: xValues(member, curve),
    y: curve[1],
    mode: dots ? 'lines+markers' : 'lines',
    marker: { size: 5 },
    line: { color: colour, width: index === selection.member && !few ? 3.5 : steady ? 2.2 : 1.3 },
    opacity: study.kind === 'runs' && split === 'train' ? 0.55 : 1,
    meta: index,
    hovertemplate:
      `${plain(study.kind === 'run' ? split : member.name + suffix)}<br>${curveState.along} ` +
      `%{x:,.4~g}: %{y:,.4~g}<br>${plain(member.brief)}<extra></extra>`,
  };
}

function markTrace(marks) {
  return {
    x: marks.map((m) => m.point[0]),
    y: marks.map((m) => m.point[1]),
    mode: 'markers',
    marker: {
      symbol: marks.map((m) => m.symbol),
      color: marks.map((m) => m.colour),
      size: 9,
      line: { width: 1.5, color: marks.map((m) => m.colour) },
    },
    text: marks.map((m) => plain(m.text)),
    meta: null,
    hovertemplate: '%{text}<extra></extra>',
  };
}

// The marks of a member in a panel: each on the first of these lines that reaches its step.
function marksOf(index, name, splits, colour) {
  const member = study.members[index];
  const unit = curveState.along === 'epoch' ? member.epochs_per_step : 1;
  const kinds = { origin: ['circle-open', member.changes], lost: ['x-thin', member.brief] };
  const curves = ['evaluation', 'train', 'diagnostics'].filter((s) => splits.includes(s))
    .map((s) => member.curves[`${s}.${name}`]).filter(Boolean);
  const marks = Object.assign({}, ...curves.map((curve) => curve[2]).reverse());
  return Object.entries(marks).map(([mark, [step, value]]) => ({
    point: [step * unit, value],
    symbol: kinds[mark][0],
    colour,
    text: `${member.name}<br>${kinds[mark][1]}`,
  }));
}

function drawCurves(node, name, splits) {
  const groups = new Map(groupsOf(curveState.colour).map((g) => [g.key, g]));
  const traces = [];
  let marks = [];
  study.members.forEach((member, index) => {
    for (const split of splits) {
      const curve = member.curves[`${split}.${name}`];
      const key = groupKey(curveState.colour, index, split);
      if (!curve || curveState.hidden.has(key)) continue;
      const colour = groups.get(key).colour;
      traces.push(lineTrace(index, split, curve, colour));
    }
    if (study.kind === 'run') return;
    const key = groupKey(curveState.colour, index);
    if (curveState.hidden.has(key)) return;
    marks = marks.concat(marksOf(index, name, splits, groups.get(key).colour));
  });
  if (marks.length) traces.push(markTrace(marks));
  const quantity = study.quantities[name];
  return draw(node, traces, {
    height: study.kind === 'sweep' ? 380 : 260,
    xaxis: { title: { text: curveState.along, standoff: 8 }, range: [0, farthest(traces)] },
    yaxis: yAxis(quantity, traces),
    ...verdictLine(study.kind === 'run' ? study.members[0] : null),
  });
}

function farthest(traces) {
  return 1.02 * traces.reduce((most, t) => Math.max(most, t.x.at(-1)), 0) || 1;
}

function yAxis(quantity, traces) {
  const log = quantity.axis === 'log';
  const shown = traces.flatMap((t) => t.y).filter((v) => v !== null && (!log || v > 0));
  const [low, high] = [Math.min, Math.max].map((f) => shown.reduce((a, b) => f(a, b), shown[0]));
  if (log) {
    return { type: 'log', exponentformat: 'power', dtick: high > 30 * low ? 1 : null };
  }
  if (quantity.share) return { range: [-3, 103] };
  if (!shown.length) return { range: [0, 1] };
  // Plotly's rangemode 'tozero' cuts off small values on the other side of 0.
  const margin = 0.05 * (Math.max(high, 0) - Math.min(low, 0) || 1);
  return { range: [Math.min(0, low - margin), Math.max(0, high + margin)] };
}

// A dashed line at the step since which the verdict holds, with the verdict above it.
function verdictLine(member) {
  if (!member || member.step === null) return {};
  const x = curveState.along === 'epoch' ? member.step * member.epochs_per_step : member.step;
  const line = { color: study.outline, dash: 'dash', width: 1.5 };
  return {
    shapes: [{ type: 'line', x0: x, x1: x, yref: 'paper', y0: 0, y1: 1, line }],
    annotations: [{ x, y: 1, yref: 'paper', text: member.brief, showarrow: false, yanchor: 'bottom', borderpad: 0 }],
    margin: { l: 48, r: 10, t: 24, b: 42 },
  };
}

function onPick(node) {
  node.on('plotly_click', (event) => {
    const index = event.points[0].data.meta;
    if (index !== null && study.members.length > 1) selectMember(index);
  });
}

function figure(quantity, suffix) {
  const plot = element('div', { class: 'plot' });
  byId('panels').append(element('figure', {}, caption(quantity, suffix), plot));
  return plot;
}

const panels = [];

function redrawCurves() {
  for (const panel of panels) panel();
}

// A few runs: a panel for each quantity, with all splits.
function layPanels() {
  const plots = study.panels.map((name) => [name, figure(study.quantities[name])]);
  for (const [name, plot] of plots) {
    panels.push(() => drawCurves(plot, name, ['train', 'diagnostics', 'evaluation']));
    panels.at(-1)();
    onPick(plot);
  }
}

// Many members: the selected quantity, and below it the silent channels.
function layChosen() {
  const holder = element('div', { class: 'plot' });
  const head = element('figcaption');
  byId('panels').append(element('figure', {}, head, holder));
  panels.push(() => {
    const [split, name] = curveState.quantity.split('.');
    head.replaceChildren(...caption(study.quantities[name], `, ${split}`).childNodes);
    return drawCurves(holder, name, [split]);
  });
  panels[0]();
  onPick(holder);
  if (study.choices.some(([key]) => key === 'train.dead_channels')) {
    const plot = figure(study.quantities.dead_channels, ', train');
    panels.push(() => drawCurves(plot, 'dead_channels', ['train']));
    panels[1]();
    onPick(plot);
  }
}

function layLegend() {
  const node = byId('legend');
  node.replaceChildren();
  for (const group of groupsOf(curveState.colour)) {
    const line = element('i');
    line.style.background = group.colour;
    const shown = !curveState.hidden.has(group.key);
    const button = element('button', { type: 'button', 'aria-pressed': shown }, line, group.label);
    button.addEventListener('click', () => {
      if (!curveState.hidden.delete(group.key)) curveState.hidden.add(group.key);
      button.setAttribute('aria-pressed', !curveState.hidden.has(group.key));
      redrawCurves();
    });
    node.append(button);
  }
  if (study.kind !== 'run' && study.members.some((m) => m.lost)) {
    node.append(element('span', { class: 'mark' }, study.marks.lost));
  }
  if (study.kind === 'runs' && study.members.some((m) => m.origin !== null)) {
    node.append(element('span', { class: 'mark' }, study.marks.origin));
  }
}

function layCurves() {
  const controls = byId('curve-controls');
  const set = (name) => (value) => {
    curveState[name] = value;
    if (name === 'colour') {
      curveState.hidden.clear();
      layLegend();
    }
    redrawCurves();
  };
  if (study.kind === 'sweep') {
    const fields = Object.keys(study.groups).map((f) => [f, study.groups[f].label]);
    controls.append(
      choice('Quantity', study.choices, curveState.quantity, set('quantity')),
      choice('Colour by', [...fields, ['verdict', 'verdict']], curveState.colour, set('colour')),
    );
  }
  controls.append(choice('Along', [['step', 'step'], ['epoch', 'epoch']], 'step', set('along')));
  layLegend();
  if (study.kind === 'sweep') layChosen();
  else layPanels();
}
