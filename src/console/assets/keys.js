// Keys for those who work with them all day. None fires while somebody types, and all can be switched off.

import { openPage } from './dialogs.js';

const GO = { o: '/', c: '/conversations', p: '/parked', m: '/mappings', t: '/tap' };

export const areOn = () => localStorage.getItem('keys') !== 'off';

const types = (element) => element instanceof HTMLElement
  && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName)
    && !/^(checkbox|radio|button|submit)$/.test(element.type));

/** The rows that the page's list has, by what is focused in them. */
const rows = () => [...document.querySelectorAll('main [data-row]')].filter((row) => row.offsetParent !== null);

function step(by) {
  const all = rows();
  if (all.length === 0) return false;
  const here = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + by));
  const row = all[next];
  const focus = row.matches('a, button, summary') ? row : row.querySelector('a, button, summary');
  (focus ?? row).focus();
  (focus ?? row).scrollIntoView({ block: 'nearest' });
  return true;
}

function press(name) {
  const row = document.activeElement?.closest?.('[data-row]');
  const button = row?.querySelector(`[data-key-act="${name}"]`) ?? document.querySelector(`main [data-key-act="${name}"]`);
  if (!button || button.disabled) return false;
  button.click();
  return true;
}

function rail() {
  const root = document.documentElement;
  const narrow = root.dataset.nav !== 'rail';
  if (narrow) root.dataset.nav = 'rail'; else delete root.dataset.nav;
  document.cookie = `nav=${narrow ? 'rail' : 'wide'}; path=/; max-age=31536000; samesite=strict`;
  return true;
}

function select() {
  const box = document.activeElement?.closest?.('[data-row]')?.querySelector('input[type="checkbox"]');
  if (!box) return false;
  box.click();
  return true;
}

let awaits = 0;

function act(event) {
  const key = event.key;
  if (awaits && Date.now() - awaits < 1500) {
    awaits = 0;
    const link = GO[key] && document.querySelector(`.side a[href="${GO[key]}"]`);
    if (link) { link.click(); return true; }
    return false;
  }
  switch (key) {
    case 'g': awaits = Date.now(); return true;
    case '/': { const field = document.getElementById('search'); field?.focus(); return Boolean(field); }
    case '?': openPage('/keys', document.activeElement); return true;
    case '[': return rail();
    case 'j': return step(1);
    case 'k': return step(-1);
    case 'x': return select();
    case 'r': return press('retry');
    case 's': return press('skip');
    case 'n': return press('newer');
    default: return false;
  }
}

/** Listens. */
export function listen() {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && types(document.activeElement)) { document.activeElement.blur(); return; }
    if (!areOn() || types(document.activeElement) || document.querySelector('dialog[open]')) return;
    if (act(event)) event.preventDefault();
  });
}
