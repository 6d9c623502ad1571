// Parts of the page that change by themselves.
//
// The server says only which part has which version; the part itself is fetched as HTML from the page's own
// address. One stream serves all of a browser's pages. What a person looks at or points to does not move:
// nodes are replaced by key, and one that has the focus, the selection or an open fold is kept.

import { say, times } from './times.js';

const QUIET = 10000;
const versions = new Map();
const channel = 'BroadcastChannel' in window ? new BroadcastChannel('live') : null;
let source = null;
let last = 0;
let lastId = '';
let hiddenSince = 0;
let keyPressed = 0;
let pointerDown = false;

const parts = () => [...document.querySelectorAll('main [data-part]')];
const names = () => [...new Set(parts().map((part) => part.dataset.part))];

function show(isLive) {
  const dot = document.getElementById('live');
  if (!dot) return;
  dot.hidden = false;
  dot.classList.toggle('stale', !isLive);
  const words = dot.querySelector('.words');
  const clock = new Date(last || Date.now()).toLocaleTimeString(document.documentElement.lang, { hour12: false });
  const text = isLive ? say('live') : say('not_live', { at: clock });
  if (words.textContent !== text) words.textContent = text;
}

/** Whether somebody works in this node. */
function isHeld(node) {
  const selection = document.getSelection();
  return node.contains(document.activeElement)
    || node.querySelector('details[open], dialog[open]') !== null
    || (selection && !selection.isCollapsed && selection.containsNode(node, true))
    || (pointerDown && node.matches(':hover'));
}

function replaceByKey(now, fresh) {
  const keyed = new Map([...fresh.querySelectorAll('[data-key]')].map((node) => [node.dataset.key, node]));
  const mine = [...now.querySelectorAll('[data-key]')];
  if (now.dataset.inPlace !== undefined) {
    // What is shown changes in its place; what is new is told by the bar above.
    for (const node of mine) {
      const other = keyed.get(node.dataset.key);
      if (other && !node.isEqualNode(other) && !isHeld(node)) node.replaceWith(other);
    }
    return;
  }
  const sameKeys = mine.length === keyed.size && mine.every((node) => keyed.has(node.dataset.key));
  if (sameKeys && mine.length > 0) {
    for (const node of mine) {
      const other = keyed.get(node.dataset.key);
      if (!node.isEqualNode(other) && !isHeld(node)) node.replaceWith(other);
    }
    return;
  }
  const bar = now.dataset.top === undefined ? null : document.querySelector('[data-newer]');
  if (bar && (scrollY > 200 || isHeld(now))) { bar.hidden = false; return; }
  if (!isHeld(now) && Date.now() - keyPressed > 5000) now.replaceChildren(...fresh.childNodes);
}

async function refresh(name) {
  const address = new URL(location.href);
  address.searchParams.set('part', name);
  const seen = document.querySelector('[data-seen]')?.dataset.seen;
  if (seen) address.searchParams.set('seen', seen);
  address.hash = '';
  const answer = await fetch(address, { headers: { accept: 'text/html' } });
  if (answer.status === 401 || answer.redirected) { show(false); return; }
  if (!answer.ok) return;
  const html = await answer.text();
  const page = new DOMParser().parseFromString(`<body>${html}</body>`, 'text/html');
  times(page);
  for (const part of parts()) {
    if (part.dataset.part === name) replaceByKey(part, page.body);
  }
}

function hear(part, version) {
  last = Date.now();
  show(true);
  if (!part || versions.get(part) === version) return;
  const isFirst = !versions.has(part);
  versions.set(part, version);
  if (!isFirst && names().includes(part)) refresh(part).catch(() => {});
}

function open() {
  if (source || document.hidden || names().length === 0) return;
  const query = new URLSearchParams({ parts: names().join(','), page: location.pathname });
  if (lastId) query.set('after', lastId);
  source = new EventSource(`/v1/live?${query}`);
  source.onmessage = (event) => {
    lastId = event.lastEventId || lastId;
    let told = {};
    try { told = JSON.parse(event.data); } catch { return; }
    channel?.postMessage(told);
    hear(told.part, told.version);
  };
  source.onopen = () => { last = Date.now(); show(true); };
}

function close() {
  source?.close();
  source = null;
}

/** One page of the browser holds the stream; the others hear it through the channel. */
function takeTurns() {
  if (!navigator.locks || !channel) { open(); return; }
  channel.onmessage = (event) => hear(event.data?.part, event.data?.version);
  navigator.locks.request('live', () => new Promise((release) => {
    open();
    addEventListener('pagehide', () => { close(); release(); }, { once: true });
  })).catch(() => open());
}

/** Begins to listen where the page has parts that change. */
export function live() {
  if (names().length === 0 || document.documentElement.dataset.live === undefined) return;
  addEventListener('pointerdown', () => { pointerDown = true; });
  addEventListener('pointerup', () => { pointerDown = false; });
  addEventListener('keydown', () => { keyPressed = Date.now(); });
  takeTurns();
  setInterval(() => {
    if (last && Date.now() - last > QUIET) show(false);
    if (document.hidden && hiddenSince && Date.now() - hiddenSince > 60000) close();
    if (source?.readyState === EventSource.CLOSED) { source = null; }
  }, 2000);
  document.addEventListener('visibilitychange', () => {
    hiddenSince = document.hidden ? Date.now() : 0;
    if (!document.hidden && !source && last) open();
  });
}
