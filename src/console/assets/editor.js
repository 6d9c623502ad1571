// The mapping editor, as you type: the form of the open field is sent to where its button sends it, and what
// comes of it takes the place of what was there. Without script the button does the same.

const AFTER = 600;

/** Puts a part of the answer in the place of ours. */
function take(answer, selector) {
  const [ours, theirs] = [document.querySelector(selector), answer.querySelector(selector)];
  if (ours && theirs && !ours.contains(document.activeElement)) ours.replaceChildren(...theirs.childNodes);
}

/** A row's state without its form, in which somebody writes. */
function rows(answer) {
  for (const theirs of answer.querySelectorAll('.field-row')) {
    const ours = document.getElementById(theirs.id);
    if (!ours) continue;
    ours.className = theirs.className;
    for (const part of ['.field-name', '.chips', '.words']) {
      const [was, is] = [ours.querySelector(part), theirs.querySelector(part)];
      if (was && is && !was.contains(document.activeElement)) was.replaceWith(is);
    }
  }
}

export function editor() {
  const form = document.querySelector('form[data-editor]');
  if (!form || form.querySelector('fieldset').disabled) return;
  let waiting = 0;
  let under = null;
  let isDirty = false;

  const save = async () => {
    under?.abort();
    under = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    body.set('act', 'save');
    try {
      const reply = await fetch(location.href, { method: 'POST', body, signal: under.signal });
      const answer = new DOMParser().parseFromString(await reply.text(), 'text/html');
      if (!answer.querySelector('.editor')) return;
      isDirty = !reply.ok;
      const revision = answer.querySelector('input[name="revision"]')?.value;
      if (revision) for (const field of document.querySelectorAll('input[name="revision"]')) field.value = revision;
      rows(answer);
      for (const part of ['problems', 'result', 'draft', 'tests']) take(answer, `[data-part="${part}"]`);
    } catch { /* A newer key press has begun another one, or nobody answers: the button still works. */ }
  };

  form.addEventListener('input', () => {
    isDirty = true;
    clearTimeout(waiting);
    waiting = setTimeout(save, AFTER);
  });
  form.addEventListener('submit', () => { isDirty = false; clearTimeout(waiting); });
  addEventListener('beforeunload', (event) => { if (isDirty) event.preventDefault(); });

  // A press on a source writes it where the cursor was.
  const value = form.querySelector('#value');
  document.querySelector('.editor')?.addEventListener('click', (event) => {
    const source = event.target.closest?.('[data-source]')?.dataset.source;
    if (!source || !value) return;
    value.setRangeText(`{{ ${source} }}`, value.selectionStart, value.selectionEnd, 'end');
    value.focus();
    value.dispatchEvent(new Event('input', { bubbles: true }));
  });

  // A line and its field point to each other.
  document.addEventListener('mouseover', (event) => {
    const field = event.target.closest?.('[data-field]')?.dataset.field;
    for (const line of document.querySelectorAll('[data-field], .field-row')) {
      line.classList.toggle('pointed', Boolean(field) && (line.dataset.field === field || line.id === `f-${field}`));
    }
  });
}
