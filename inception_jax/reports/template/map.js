// The stability map: a table with a tile for each member.
const MANY = 12;
const mapState = { x: study.start.x, y: study.start.y, only: {} };

function gridOf(x, y) {
  const grid = study.maps.find((m) => m.x === x && m.y === y);
  if (grid) return grid;
  const other = study.maps.find((m) => m.x === y && m.y === x);
  return {
    columns: other.lines,
    lines: other.columns,
    cells: other.columns.map((_, c) => other.lines.map((__, l) => other.cells[l][c])),
  };
}

function isShown(index) {
  return Object.entries(mapState.only).every(([field, value]) =>
    value === '' || String(study.groups[field].of[index]) === value);
}

function counted(members) {
  return Object.keys(study.verdicts)
    .map((v) => [members.filter((i) => study.members[i].verdict === v).length, v])
    .filter(([count]) => count)
    .map(([count, v]) => `${count} ${v}`)
    .join(', ');
}

// The fields, except seeds, in which the members of a cell differ.
function differing(members) {
  return Object.values(study.groups).filter((group) => !group.is_seed
    && new Set(members.map((i) => group.of[i])).size > 1);
}

function tile(index, many, fields) {
  const member = study.members[index];
  const step = member.step === null ? '' : ` ${member.step.toLocaleString('en')}`;
  const text = many ? member.verdict.slice(0, 1).toUpperCase() : member.verdict + step;
  const button = element('button', {
    type: 'button',
    class: 'tile',
    title: `${member.name}: ${member.brief}`,
    'aria-label': `${member.name}: ${member.brief}`,
    'aria-pressed': index === selection.member,
    'data-member': index,
  }, text);
  if (fields.length && !many) {
    const values = fields.map((group) => group.labels[group.of[index]])
      .filter((text) => text !== 'none');
    if (values.length) button.prepend(element('small', {}, values.join(', ')));
  }
  paint(button, member.verdict);
  button.addEventListener('click', () => selectMember(index, { show: true }));
  return button;
}

function cell(members) {
  const node = element('td');
  if (!members.length) return node;
  const many = members.length > MANY;
  if (members.length > 1) node.append(element('p', { class: 'sum' }, counted(members)));
  const fields = differing(members);
  node.append(element('div', { class: many ? 'tiles many' : 'tiles' },
    ...members.map((i) => tile(i, many, fields))));
  return node;
}

// In narrow columns a name can break after its underscores.
const breakable = (text) => text.replaceAll('_', '_\u200b');

function drawMap() {
  const grid = gridOf(mapState.x, mapState.y);
  const label = (field) => (field === null ? '' : study.groups[field].label);
  const corner = element('td', { class: 'corner' },
    ...(mapState.y === null ? [] : [`${label(mapState.y)}\u00a0\u2193`, element('br')]),
    ...(mapState.x === null ? [] : [`${label(mapState.x)}\u00a0\u2192`]));
  const head = element('tr', {}, corner,
    ...grid.columns.map((c) => element('th', { scope: 'col' }, mapState.x === null ? 'all' : breakable(c))));
  const body = element('tbody');
  for (let line = grid.lines.length - 1; line >= 0; line -= 1) {
    body.append(element('tr', {},
      element('th', { scope: 'row' }, mapState.y === null ? 'all' : breakable(grid.lines[line])),
      ...grid.cells[line].map((members) => cell(members.filter(isShown)))));
  }
  byId('map').style.minWidth = `${5.5 + 6.25 * grid.columns.length}rem`;
  byId('map').replaceChildren(element('thead', {}, head), body);
}

function layMapControls() {
  const controls = byId('map-controls');
  const names = Object.keys(study.groups);
  const options = [...names.map((f) => [f, study.groups[f].label]), ['', 'none']];
  const set = (axis) => (value) => {
    const other = axis === 'x' ? 'y' : 'x';
    const before = mapState[axis];
    mapState[axis] = value || null;
    if (mapState[axis] === mapState[other]) mapState[other] = before;
    layMap();
  };
  controls.replaceChildren(
    choice('Rows', options, mapState.y ?? '', set('y')),
    choice('Columns', options, mapState.x ?? '', set('x')),
  );
  for (const field of names.filter((f) => f !== mapState.x && f !== mapState.y)) {
    const values = study.groups[field].labels.map((text, i) => [String(i), text]);
    controls.append(choice(`Only ${study.groups[field].label}`, [['', 'all'], ...values],
      mapState.only[field] ?? '', (value) => {
        mapState.only[field] = value;
        drawMap();
      }));
  }
}

function layMap() {
  for (const field of [mapState.x, mapState.y]) delete mapState.only[field];
  layMapControls();
  drawMap();
}
