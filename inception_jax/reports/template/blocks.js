// The blocks of a member over time, as a heat map. The page of a run starts with the
// newest replay, because a user made it in order to see it.
const blockState = {
  quantity: 'update_ratio',
  source: study.kind === 'run' ? study.members[0].newest_replay ?? 'run' : 'run',
};

function logTicks(low, high) {
  const values = [];
  if (high - low < 1.5) {
    for (let i = 0; i <= 3; i += 1) values.push(low + ((high - low) * i) / 3);
  } else {
    for (let power = Math.ceil(low); power <= high; power += 1) values.push(power);
  }
  return { tickvals: values, ticktext: values.map((v) => number(Number((10 ** v).toPrecision(2)))) };
}

function heatTrace(heat, quantity) {
  const log = quantity.axis === 'log';
  const raw = heat.values[blockState.quantity];
  const z = raw.map((row) => row.map((v) => (log ? (v > 0 ? Math.log10(v) : null) : v)));
  const shown = z.flat().filter((v) => v !== null);
  const [low, high] = quantity.share
    ? [0, 100]
    : [shown.reduce((a, b) => Math.min(a, b), Infinity), shown.reduce((a, b) => Math.max(a, b), -Infinity)];
  return {
    type: 'heatmap',
    x: heat.steps,
    y: study.blocks[heat.blocks].map(plain),
    z,
    zmin: low,
    zmax: high === low ? low + 1 : high,
    customdata: raw.map((row) => row.map(number)),
    colorscale: 'Cividis',
    hoverongaps: false,
    hovertemplate: `%{y}, step %{x:,}<br>${plain(quantity.label)} %{customdata} ${quantity.unit}<extra></extra>`,
    colorbar: {
      orientation: 'h', x: 0, xanchor: 'left', y: 1, yanchor: 'bottom', len: 1, thickness: 10,
      outlinewidth: 0, ypad: 8, ...(log && shown.length ? logTicks(low, high) : { ticksuffix: quantity.share ? ' %' : '' }),
    },
  };
}

// A dashed line that is visible on every colour.
function halo(step) {
  const ends = { type: 'line', x0: step, x1: step, yref: 'paper', y0: 0, y1: 1 };
  return [
    { ...ends, line: { color: '#ffffff', width: 3 } },
    { ...ends, line: { color: '#000000', width: 1.5, dash: 'dash' } },
  ];
}

function drawBlocks() {
  const member = study.members[selection.member];
  const heat = member.heat[blockState.source];
  const note = byId('blocks-note');
  const node = byId('blocks');
  if (!heat) {
    note.textContent = 'No diagnostics were recorded for this member.';
    Plotly.purge(node);
    node.replaceChildren();
    return;
  }
  const quantity = study.block_quantities[blockState.quantity];
  note.textContent = 'The blocks are ordered from the image at the top to the logits. An update as large as the ' +
    'weights rewrites a block in one step. A blank cell has no value, or a value that is not finite.';
  const count = study.blocks[heat.blocks].length;
  const within = member.step !== null && member.step >= heat.steps[0] && member.step <= heat.steps.at(-1);
  draw(node, [heatTrace(heat, quantity)], {
    height: 116 + count * 20,
    margin: { l: 48, r: 14, t: 46, b: 48 },
    xaxis: { title: { text: 'step', standoff: 14 }, showgrid: false },
    yaxis: { autorange: 'reversed', showgrid: false, fixedrange: true, type: 'category', dtick: 1 },
    shapes: within ? halo(member.step) : [],
  });
}

function layBlockControls() {
  const heat = study.members[selection.member].heat;
  const sources = Object.keys(heat);
  if (!sources.includes(blockState.source)) [blockState.source] = sources.length ? sources : ['run'];
  const set = (name) => (value) => {
    blockState[name] = value;
    layBlockControls();
    drawBlocks();
  };
  const controls = byId('block-controls');
  controls.replaceChildren();
  if (!sources.length) return;
  const names = Object.keys(study.block_quantities).filter((q) => heat[blockState.source].values[q]);
  if (!names.includes(blockState.quantity)) [blockState.quantity] = names;
  controls.append(choice('Quantity', names.map((q) => [q, study.block_quantities[q].label]),
    blockState.quantity, set('quantity')));
  if (sources.length > 1) {
    controls.append(choice('Steps', sources.map((s) => [s, s === 'run' ? 'of the run' : `replayed, ${s}`]),
      blockState.source, set('source')));
  }
}
