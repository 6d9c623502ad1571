// What every page does with a script; without it every page works by links and forms.

import { keepTimes, say } from './times.js';
import { charts } from './charts.js';
import { openPage } from './dialogs.js';
import { areOn, listen } from './keys.js';
import { judge } from './judge.js';
import { live } from './live.js';
import { playground } from './playground.js';
import { tap } from './tap.js';
import { editor } from './editor.js';

function themes() {
  const form = document.querySelector('form.theme');
  form?.addEventListener('submit', (event) => {
    event.preventDefault();
    const root = document.documentElement;
    const button = form.querySelector('button');
    const dark = root.dataset.theme === 'dark'
      || (root.dataset.theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches);
    const theme = dark ? 'light' : 'dark';
    root.dataset.theme = theme;
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=strict`;
    button.value = dark ? 'dark' : 'light';
    const words = say(dark ? 'dark' : 'light');
    button.setAttribute('aria-label', words);
    button.title = words;
  });
}

/** The whole row is pressable with a mouse; its link alone is in the tab order. */
function rows() {
  document.addEventListener('click', (event) => {
    const row = event.target.closest?.('tr.pressable');
    if (!row || event.target.closest('a, button, input, label, summary')) return;
    if (document.getSelection()?.isCollapsed === false) return;
    row.querySelector('th a, td a')?.click();
  });
}

/** A pressed button says what it does, and is not pressed twice. */
function pressed() {
  document.addEventListener('submit', (event) => {
    if (event.defaultPrevented) return;
    const button = event.submitter;
    if (!button || button.dataset.busy === undefined) return;
    setTimeout(() => {
      button.disabled = true;
      if (button.dataset.busy) button.textContent = button.dataset.busy;
    });
  });
  addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
}

function passwords() {
  for (const button of document.querySelectorAll('[data-show]')) {
    const field = document.getElementById(button.dataset.show);
    button.hidden = false;
    button.addEventListener('click', () => {
      const hidden = field.type === 'password';
      field.type = hidden ? 'text' : 'password';
      button.textContent = hidden ? button.dataset.hideWords : button.dataset.showWords;
      button.setAttribute('aria-pressed', String(hidden));
    });
  }
  const empty = [...document.querySelectorAll('form.sign-in input:not([type="hidden"])')].find((field) => !field.value);
  empty?.focus();
}

/** A button that waits says how long, and works when the time is over. */
function waits() {
  for (const button of document.querySelectorAll('[data-wait]')) {
    let left = Number(button.dataset.wait);
    const words = button.textContent;
    const tick = () => {
      if (left <= 0) { button.disabled = false; button.textContent = words; return; }
      button.disabled = true;
      button.textContent = say('wait', { n: left });
      left -= 1;
      setTimeout(tick, 1000);
    };
    tick();
  }
}

function copies() {
  for (const button of document.querySelectorAll('[data-copy]')) {
    button.hidden = false;
    button.addEventListener('click', async () => {
      try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return; }
      const words = button.textContent;
      button.textContent = say('copied');
      setTimeout(() => { button.textContent = words; }, 1500);
    });
  }
}

function boxes() {
  document.addEventListener('change', (event) => {
    const all = event.target.closest?.('[data-all]');
    if (!all) return;
    for (const box of document.querySelectorAll(`input[name="${all.dataset.all}"]`)) box.checked = all.checked;
  });
}

/** A filter that is chosen is in force at once. */
function filters() {
  document.addEventListener('change', (event) => {
    if (event.target.dataset?.submit !== undefined) event.target.form?.requestSubmit();
  });
  for (const form of document.querySelectorAll('form.filters')) {
    form.addEventListener('submit', () => {
      for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    });
  }
}

function dialogs() {
  for (const [selector, address] of [['a.burger', '/nav'], ['a[href="/keys"]', '/keys']]) {
    for (const link of document.querySelectorAll(selector)) {
      link.addEventListener('click', (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || !document.getElementById('keys-dialog')) return;
        event.preventDefault();
        openPage(address, link);
      });
    }
  }
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('[data-close]')) event.target.closest('dialog')?.close();
    for (const menu of document.querySelectorAll('details.menu[open]')) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener('change', (event) => {
    if (event.target.id === 'keys-on') localStorage.setItem('keys', event.target.checked ? 'on' : 'off');
  });
  document.addEventListener('keydown', (event) => {
    const menu = event.key === 'Escape' && document.activeElement?.closest?.('details.menu[open]');
    if (menu) { menu.open = false; menu.querySelector('summary').focus(); }
  });
  const box = document.getElementById('keys-on');
  if (box) box.checked = areOn();
}

keepTimes();
themes();
rows();
pressed();
passwords();
waits();
copies();
boxes();
dialogs();
charts();
judge();
filters();
listen();
live();
playground();
tap();
editor();
