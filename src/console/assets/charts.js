// Lines over time: pointing at one, or walking along it with the arrow keys, tells time and value.

import { clockOf, number } from './times.js';

let tip = null;

function tell(chart, index) {
  const values = chart.dataset.values.split(',');
  const at = new Date(new Date(chart.dataset.from).getTime() + index * Number(chart.dataset.step) * 1000);
  const box = chart.getBoundingClientRect();
  tip ??= document.body.appendChild(Object.assign(document.createElement('div'), { className: 'tip' }));
  tip.hidden = false;
  tip.textContent = `${clockOf(at)}  ${number(Number(values[index]))}`;
  const x = box.left + (box.width * index) / Math.max(1, values.length - 1);
  tip.style.setProperty('left', `${Math.min(Math.max(8, x - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8)}px`);
  tip.style.setProperty('top', `${box.top - tip.offsetHeight - 6}px`);
  chart.dataset.index = String(index);
}

function hide() {
  if (tip) tip.hidden = true;
}

/** Listens on every chart, also on those that come later. */
export function charts() {
  document.addEventListener('pointermove', (event) => {
    const chart = event.target.closest?.('.chart[data-values]');
    if (!chart || !chart.dataset.values || !chart.dataset.from) { hide(); return; }
    const count = chart.dataset.values.split(',').length;
    const box = chart.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    tell(chart, Math.round(share * (count - 1)));
  });
  for (const chart of document.querySelectorAll('.chart[data-values]')) {
    chart.tabIndex = 0;
    chart.setAttribute('role', 'group');
    chart.setAttribute('aria-label', chart.querySelector('svg')?.getAttribute('aria-label') ?? '');
    chart.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const count = chart.dataset.values.split(',').length;
      if (!by || !chart.dataset.from) return;
      event.preventDefault();
      const from = Number(chart.dataset.index ?? (by > 0 ? -1 : count));
      tell(chart, Math.min(count - 1, Math.max(0, from + by)));
    });
    chart.addEventListener('blur', hide);
  }
}
