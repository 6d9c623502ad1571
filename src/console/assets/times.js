// Times in the browser's zone and language, and numbers of the past that grow.

const texts = JSON.parse(document.querySelector('meta[name="texts"]')?.content || '{}');

/** A text for scripts, with its values. */
export function say(key, values = {}) {
  const text = texts[key] ?? '';
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

const language = document.documentElement.lang || 'en';
const of = (options) => new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, options);
const clock = of({ hour: '2-digit', minute: '2-digit' });
const seconds = of({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = of({ day: 'numeric', month: 'short' });
const year = of({ day: 'numeric', month: 'short', year: 'numeric' });
const whole = of({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const full = of({ dateStyle: 'medium', timeStyle: 'long' });

const grouped = new Intl.NumberFormat(language);

/** A number in groups of three. */
export const number = (value) => grouped.format(value);

/** A time of today by the clock, an older one with its day. */
export const clockOf = (at) => moment(at, new Date());

function moment(at, now) {
  if (at.toDateString() === now.toDateString()) return clock.format(at);
  if (at.getFullYear() === now.getFullYear()) return `${day.format(at)}, ${clock.format(at)}`;
  return year.format(at);
}

function ago(at, now) {
  const passed = Math.max(1, Math.round((now - at) / 1000));
  if (passed >= 3600) return moment(at, now);
  if (passed < 120) return say('seconds_ago', { n: passed });
  return say('minutes_ago', { n: Math.floor(passed / 60) });
}

/** Puts every time below an element into the browser's zone. */
export function times(root = document) {
  const now = new Date();
  for (const element of root.querySelectorAll('time[data-as]')) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const shape = element.dataset.as;
    const shown = shape === 'ago' ? ago(at, now) : shape === 'clock' ? seconds.format(at) : shape === 'day' ? whole.format(at) : moment(at, now);
    if (element.textContent !== shown) element.textContent = shown;
    element.title = full.format(at);
  }
  for (const head of root.querySelectorAll('[data-zone]')) {
    const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'shortOffset' }).formatToParts(now);
    head.textContent = parts.find((part) => part.type === 'timeZoneName')?.value.replace('GMT', 'UTC') ?? 'UTC';
  }
}

/** Keeps them so. */
export function keepTimes() {
  times();
  setInterval(() => { if (!document.hidden) times(); }, 15000);
}
