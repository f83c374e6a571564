// The table of members: sorted by its headers, filtered by text and verdict.
const collator = new Intl.Collator('en', { numeric: true });

function order(column, sign) {
  return (a, b) => {
    const [left, right] = [a, b].map((row) => row.cells[column].dataset.value);
    if (left === '' || right === '') return (left === '') - (right === '');
    const numeric = !Number.isNaN(Number(left)) && !Number.isNaN(Number(right));
    return sign * (numeric ? Number(left) - Number(right) : collator.compare(left, right));
  };
}

function sortBy(header) {
  const body = byId('members').tBodies[0];
  const ascending = header.getAttribute('aria-sort') !== 'ascending';
  for (const other of header.parentNode.cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  body.append(...[...body.rows].sort(order(header.cellIndex, ascending ? 1 : -1)));
}

function filterRows() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = byId('filter-verdict').value;
  const rows = [...byId('members').tBodies[0].rows];
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((w) => text.includes(w));
    row.hidden = !fits || (verdict !== '' && row.dataset.verdict !== verdict);
  }
  const shown = rows.filter((row) => !row.hidden).length;
  byId('shown').textContent = shown === rows.length ? `${shown} in all` : `${shown} of ${rows.length}`;
}

function layMembers() {
  const table = byId('members');
  for (const header of table.tHead.rows[0].cells) {
    header.querySelector('button').addEventListener('click', () => sortBy(header));
  }
  for (const row of table.tBodies[0].rows) {
    row.addEventListener('click', () => selectMember(Number(row.dataset.member), { show: true }));
  }
  byId('filter').addEventListener('input', filterRows);
  byId('filter-verdict').addEventListener('change', filterRows);
  filterRows();
}
