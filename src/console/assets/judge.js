// The body of a dead letter, judged as it is typed, by the same judge as intake's.

import { say } from './times.js';

/** Judges a text area whose address says where. */
export function judge() {
  const area = document.querySelector('textarea[data-judge]');
  const place = document.getElementById('verdict');
  if (!area || !place) return;
  const csrf = area.form.querySelector('input[name="csrf"]')?.value;
  let waiting = 0;
  let under = null;

  const tell = (isFine, words) => {
    const line = document.createElement('p');
    line.className = `notice ${isFine ? 'ok' : 'bad'}`;
    line.textContent = words;
    place.replaceChildren(line);
  };

  const look = async () => {
    under?.abort();
    let body;
    try { body = JSON.parse(area.value); } catch (error) {
      tell(false, say('no_json', { why: error.message }));
      return;
    }
    under = new AbortController();
    try {
      const headers = { 'content-type': 'application/json', ...(csrf && { 'x-csrf-token': csrf }) };
      const answer = await fetch(area.dataset.judge, {
        method: 'POST', headers, body: JSON.stringify({ body, dry_run: true }), signal: under.signal,
      });
      const said = await answer.json();
      tell(answer.ok, said.done ?? said.error ?? '');
    } catch { /* A newer look has begun, or nobody answers: the form still works. */ }
  };

  area.addEventListener('input', () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 400);
  });
}
