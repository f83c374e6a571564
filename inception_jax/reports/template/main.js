// The selected member, and the start of the page.
const selection = { member: study.start.member };

function describeMember() {
  if (study.kind === 'run') return;
  const member = study.members[selection.member];
  const badge = element('span');
  badge.textContent = member.brief;
  paint(badge, member.verdict);
  byId('member-about').replaceChildren(element('strong', {}, member.name), ' ', badge, element('br'), member.sentences);
  byId('member-error').hidden = !member.error;
  byId('member-error').textContent = member.error ?? '';
}

function selectMember(index, { show = false } = {}) {
  selection.member = index;
  for (const node of document.querySelectorAll('.tile')) {
    node.setAttribute('aria-pressed', Number(node.dataset.member) === index);
  }
  for (const row of document.querySelectorAll('#members tbody tr')) {
    row.setAttribute('aria-current', Number(row.dataset.member) === index);
  }
  describeMember();
  layBlockControls();
  drawBlocks();
  if (study.kind === 'sweep') redrawCurves();
  if (show) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    byId('blocks-section').scrollIntoView({ block: 'nearest', behavior: calm ? 'auto' : 'smooth' });
  }
}

if (byId('map')) layMap();
if (byId('members')) layMembers();
if (byId('panels')) layCurves();
if (byId('blocks')) selectMember(selection.member);
document.body.dataset.ready = 'true';
