// Pages that open as dialogs where there is a script: the keys and the navigation.

/** Opens a page of this host as a dialog; its own address is gone to where that fails. */
export async function openPage(address, from) {
  const dialog = document.getElementById('keys-dialog');
  if (!dialog || dialog.open) return;
  let page;
  try {
    const answer = await fetch(address, { headers: { accept: 'text/html' } });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  } catch {
    location.assign(address);
    return;
  }
  const body = page.querySelector('[data-dialog]');
  if (!body) { location.assign(address); return; }
  const title = body.querySelector('h1, h2');
  if (title) {
    const heading = document.createElement('h2');
    heading.id = 'keys-title';
    heading.textContent = title.textContent;
    title.replaceWith(heading);
  }
  dialog.replaceChildren(document.importNode(body, true));
  dialog.addEventListener('close', () => from?.focus?.(), { once: true });
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  dialog.showModal();
}
