// The live tap: lines as they happen, newest on top. A key or a scroll holds them; nothing moves under a hand.

import { say, times } from './times.js';

const MOST = 500;
const RAILS = { gateway: 9, handoffd: 37, crm: 65, whatsapp: 93 };
const SVG = 'http://www.w3.org/2000/svg';

function hop(line) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'hop');
  svg.setAttribute('viewBox', '0 0 102 20');
  svg.setAttribute('width', '61');
  svg.setAttribute('height', '12');
  svg.setAttribute('aria-hidden', 'true');
  const from = RAILS[line.from] ?? RAILS.handoffd;
  const to = RAILS[line.to];
  if (to !== undefined && to !== from) {
    const side = to > from ? 1 : -1;
    for (const [name, path] of [['line', `M${from + 4 * side} 10H${to - 6 * side}`], ['head', `M${to - 7 * side} 6l${6 * side} 4l${-6 * side} 4Z`]]) {
      const part = document.createElementNS(SVG, 'path');
      part.setAttribute('class', name);
      part.setAttribute('d', path);
      svg.append(part);
    }
  }
  const dot = document.createElementNS(SVG, 'circle');
  dot.setAttribute('cx', from); dot.setAttribute('cy', 10); dot.setAttribute('r', 3.5);
  svg.append(dot);
  return svg;
}

function cell(name, text) {
  const span = document.createElement('span');
  span.className = name;
  span.textContent = text ?? '';
  return span;
}

function row(line) {
  const item = document.createElement('div');
  const time = document.createElement('time');
  time.dateTime = line.at;
  time.dataset.as = 'clock';
  const session = document.createElement('a');
  session.href = `/conversations/${encodeURIComponent(line.key ?? line.session)}`;
  session.textContent = line.session;
  const outcome = [line.outcome, line.millis === undefined ? '' : say('millis', { n: line.millis }),
    line.text ? say('characters', { n: line.text.characters }) : ''].filter(Boolean).join(' · ');
  const way = cell('hide', line.to ? say('way', { from: say(`at_${line.from}`), to: say(`at_${line.to}`) }) : '');
  item.append(time, hop(line), way, cell('name', line.name), session, cell('target', line.target), cell('outcome', outcome));
  times(item);
  return item;
}

/** Begins to listen on the tap's page. */
export function tap() {
  const list = document.getElementById('tap');
  if (!list) return;
  const pause = document.getElementById('tap-pause');
  const held = document.getElementById('tap-held');
  let paused = false;
  let waiting = [];
  let missed = 0;
  const note = (text) => { held.hidden = !text; held.firstElementChild.textContent = text; };
  const show = () => {
    for (const line of waiting) list.prepend(row(line));
    waiting = [];
    while (list.children.length > MOST) list.lastElementChild.remove();
    note(missed ? say('missed', { n: missed }) : '');
  };
  const hold = (on) => {
    paused = on;
    pause.setAttribute('aria-pressed', String(on));
    pause.textContent = on ? pause.dataset.go : pause.dataset.pause;
    if (!on) show();
  };
  pause.hidden = false;
  pause.addEventListener('click', () => hold(!paused));
  list.addEventListener('keydown', (event) => { if (event.key === ' ') { event.preventDefault(); hold(!paused); } });
  addEventListener('scroll', () => { if (scrollY > 240 && !paused) hold(true); }, { passive: true });
  const source = new EventSource(`/v1/tap${location.search}`);
  source.addEventListener('line', (event) => {
    waiting.push(JSON.parse(event.data));
    if (waiting.length > MOST) { missed += waiting.length - MOST; waiting = waiting.slice(-MOST); }
    if (paused) note(say('paused', { n: waiting.length })); else show();
  });
  source.addEventListener('missed', (event) => { missed += JSON.parse(event.data).missed; if (!paused) show(); });
  addEventListener('pagehide', () => source.close(), { once: true });
}
