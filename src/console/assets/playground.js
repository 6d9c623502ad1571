// The playground: buttons act without leaving the page, and what changes is put in its place.

import { times } from './times.js';

const EVERY = 1000;
let under = false;

/** Follows the newest line, unless somebody reads further up. */
function put(old, fresh) {
  const isAtEnd = old.scrollHeight - old.scrollTop - old.clientHeight < 40;
  const top = old.scrollTop;
  old.replaceWith(fresh);
  if (fresh.classList.contains('chat')) fresh.scrollTop = isAtEnd ? fresh.scrollHeight : top;
}

function apply(html) {
  const page = new DOMParser().parseFromString(`<body>${html}</body>`, 'text/html');
  times(page);
  for (const fresh of page.querySelectorAll('[data-key]')) {
    const old = document.querySelector(`[data-stage] [data-key="${CSS.escape(fresh.dataset.key)}"]`);
    if (!old || old.isEqualNode(fresh)) continue;
    const had = old.contains(document.activeElement) ? document.activeElement.closest('form')?.elements.fault?.value : null;
    put(old, fresh);
    if (had) [...document.querySelectorAll('.toggle')].find((button) => button.form.elements.fault.value === had)?.focus();
  }
}

async function look() {
  if (under || document.hidden) return;
  under = true;
  try {
    const answer = await fetch('/playground?part=stage', { headers: { accept: 'text/html' } });
    if (answer.ok && !answer.redirected) apply(await answer.text());
  } catch { /* Nobody answers: the next look comes by itself. */ }
  under = false;
}

function tell(words) {
  const place = document.getElementById('play-error');
  place.hidden = !words;
  place.querySelector('span').textContent = words;
}

/** Begins where the page is the playground. */
export function playground() {
  const stage = document.querySelector('[data-stage]');
  if (!stage) return;
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (form.dataset.play === undefined) return;
    event.preventDefault();
    const data = new URLSearchParams(new FormData(form));
    if (event.submitter) data.set(event.submitter.name, event.submitter.value);
    const answer = await fetch('/playground', { method: 'POST', body: data, headers: { accept: 'text/html' } });
    if (answer.ok) {
      tell('');
      form.querySelector('input[name="text"]')?.form.reset();
    } else {
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      tell(page.querySelector('main .quote')?.textContent.trim() || page.querySelector('h1')?.textContent.trim() || '');
    }
    look();
  });
  for (const chat of stage.querySelectorAll('.chat')) chat.scrollTop = chat.scrollHeight;
  setInterval(look, EVERY);
}
