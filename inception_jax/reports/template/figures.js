// Shared by all figures: values, colours, the layout frame and controls.
const study = JSON.parse(document.getElementById('study').textContent);
const byId = (id) => document.getElementById(id);
const narrow = () => window.innerWidth < 640;

// Plotly interprets tags and entities in texts.
const plain = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function choice(label, options, chosen, onChange) {
  const select = element('select');
  for (const [value, text] of options) {
    select.append(element('option', { value }, text));
  }
  select.value = chosen;
  select.addEventListener('change', () => onChange(select.value));
  return element('label', {}, label, select);
}

function caption(quantity, suffix = '') {
  const node = element('figcaption', {}, quantity.label + suffix);
  if (quantity.unit) node.append(element('span', { class: 'unit' }, `, ${quantity.unit}`));
  return node;
}

function paint(node, verdict) {
  const [fill, text] = study.verdicts[verdict];
  node.classList.add('verdict', verdict);
  if (fill !== 'none') {
    node.style.background = fill;
    node.style.color = text;
  }
}

function number(value) {
  if (value === null || value === undefined) return 'none';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toLocaleString('en');
}

function frame(extra) {
  const family = getComputedStyle(document.body).fontFamily;
  const axis = { zeroline: false, showline: true, linewidth: 1, automargin: true, fixedrange: false };
  return {
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family, size: 12 },
    margin: { l: 48, r: 10, t: 10, b: 42 },
    hovermode: 'closest',
    hoverlabel: { align: 'left', namelength: -1, font: { family } },
    showlegend: false,
    dragmode: narrow() || matchMedia('(pointer: coarse)').matches ? false : 'zoom',
    ...extra,
    xaxis: { ...axis, ...extra.xaxis },
    yaxis: { ...axis, ...extra.yaxis },
  };
}

function draw(node, traces, layout) {
  return Plotly.react(node, traces, frame(layout), { displayModeBar: false, responsive: true });
}

// Printed pages are narrower than most windows.
function fitPaper(width) {
  for (const node of document.querySelectorAll('.js-plotly-plot')) {
    Plotly.relayout(node, { width, autosize: width === null });
  }
}

window.addEventListener('beforeprint', () => fitPaper(660));
window.addEventListener('afterprint', () => fitPaper(null));
