// The script of the page: news of what runs, the kind of a field's value, and the file to import.
// Pages work without it, but for the import of a file.
'use strict';

// News: a part of the page asks for its content until there is no more. A page that nobody looks
// at does not ask, so that it keeps no database awake.
const SHORTEST = 300, LONGEST = 5000, FAILURES_MAX = 5;

const visible = () => new Promise(resolve => {
  if (!document.hidden) return resolve();
  document.addEventListener('visibilitychange', () => resolve(), { once: true });
});

function notice(text, isBad) {
  const box = document.createElement('div'), line = document.createElement('p');
  box.className = 'notice ' + (isBad ? 'is-bad' : 'is-busy');
  line.textContent = text;
  box.append(line);
  return box;
}

async function follow(part) {
  const ended = 'The command has ended. Start aurora-sync studio again, and open its new address.';
  const end = () => { part.append(notice(ended, true)); };
  let failures = 0;
  for (let pause = SHORTEST; ; pause = Math.min(pause * 1.3, LONGEST)) {
    await new Promise(resolve => setTimeout(resolve, pause));
    await visible();
    let response, content;
    try {
      response = await fetch(part.dataset.live);
      content = await response.text();
    } catch {
      if (++failures >= FAILURES_MAX) return end();
      continue;
    }
    failures = 0;
    if (response.status === 403) return end();
    if (!response.ok) continue;
    const next = response.headers.get('live-go');
    if (next) return location.replace(next);
    if (part.innerHTML !== content) part.innerHTML = content;
    place(part);
    if (response.headers.has('live-end')) return;
  }
}

// The reason of a rejected write also stands at the field that it is about.
function place(part) {
  for (const reason of part.querySelectorAll('[data-problem-of]')) {
    const fields = [...document.querySelectorAll('.field[data-column]')];
    const field = fields.find(field => field.dataset.column === reason.dataset.problemOf);
    if (!field) continue;
    const problem = field.querySelector('.problem');
    problem.textContent = reason.textContent;
    problem.hidden = false;
    field.querySelector('.value > :first-child').setAttribute('aria-invalid', 'true');
  }
}

document.querySelectorAll('[data-live]').forEach(follow);

// The kind of a value follows what is typed, and NULL empties the field.
for (const how of document.querySelectorAll('select[data-how]')) {
  const field = document.getElementById(how.dataset.how);
  field.addEventListener('input', () => { how.value = 'text'; });
  how.addEventListener('change', () => { if (how.value !== 'text') field.value = ''; });
}

// The import of a file.
const form = document.querySelector('[data-import]');
if (form) {
  const HEAD = 256 * 1024;
  const input = form.querySelector('#file'), shown = form.querySelector('#preview');
  const progress = form.querySelector('#progress'), zone = form.querySelector('[data-drop]');
  const senders = form.querySelectorAll('[data-send]');
  let file = null, asked = 0, isStopped = true, isSending = false;

  const query = more => {
    const pairs = new URLSearchParams(more);
    for (const field of form.elements) {
      if (field.name && field.value !== '') pairs.append(field.name, field.value);
    }
    return pairs;
  };

  const say = (text, isBad) => {
    const box = notice(text, isBad);
    progress.replaceChildren(box);
    return box;
  };

  const allow = () => senders.forEach(button => { button.disabled = isStopped || isSending; });

  async function preview() {
    if (!file) return;
    // The file must not be sent by the preview of another one, or of other options.
    isStopped = true;
    allow();
    const turn = ++asked;
    const whole = String(file.size <= HEAD);
    let response;
    try {
      const head = await file.slice(0, HEAD).arrayBuffer();
      response = await fetch('/imports/preview?' + query({ whole, name: file.name }), { method: 'POST', body: head });
    } catch { return say('The file cannot be read. Choose it again.', true); }
    const content = await response.text();
    // Only the last of several answers counts.
    if (turn !== asked) return;
    if (!response.ok) return say('No preview: ' + new DOMParser().parseFromString(content, 'text/html').querySelector('.notice')?.textContent, true);
    shown.innerHTML = content;
    // What is shown is read with the proposals: the file must not be sent without them.
    isStopped = shown.querySelector('[data-stopped], [data-accept]') !== null;
    allow();
    shown.querySelector('[data-accept]')?.addEventListener('click', accept);
  }

  // Takes the proposals over into the form. The new preview has no button to keep the focus.
  async function accept() {
    const words = { header: { false: 'is a row', true: 'names the columns' } };
    for (const item of shown.querySelectorAll('[data-option]')) {
      const { option, value } = item.dataset;
      const field = form.elements[option];
      if (field) field.value = words[option]?.[value] ?? value;
    }
    form.querySelector('details').open = true;
    await preview();
    if (document.activeElement !== document.body) return;
    shown.tabIndex = -1;
    (isStopped ? shown : senders[0]).focus();
  }

  function choose(chosen) {
    if (!chosen) return;
    file = chosen;
    progress.replaceChildren();
    preview();
  }

  // Modes that delete rows are confirmed, unless nothing is written.
  function isMeant(isDryRun) {
    const table = form.elements.table.value, mode = form.elements.mode.value;
    const effects = {
      replace: `Load ${file.name} and delete the rows of ${table} that are not in it?`,
      delete: `Delete the rows of ${file.name} from ${table}?`,
    };
    return isDryRun || !(mode in effects) || confirm(effects[mode]);
  }

  function send(button) {
    const isDryRun = button.dataset.send === 'dry-run';
    if (!isMeant(isDryRun)) return;
    isSending = true;
    allow();
    const more = { name: file.name };
    if (isDryRun) more['dry-run'] = 'true';
    const request = new XMLHttpRequest();
    request.open('PUT', '/imports/upload?' + query(more));
    const box = say('Uploading ' + file.name);
    const bar = document.createElement('progress');
    bar.max = 100;
    bar.setAttribute('aria-label', 'Upload');
    box.append(bar);
    request.upload.onprogress = event => { bar.value = 100 * event.loaded / event.total; };
    const fail = text => {
      say(text, true);
      isSending = false;
      allow();
    };
    request.onload = () => {
      if (request.status === 200) return location.assign(request.responseText);
      const page = new DOMParser().parseFromString(request.responseText, 'text/html');
      fail('The upload failed: ' + (page.querySelector('.notice')?.textContent ?? request.status));
    };
    request.onerror = () => fail('The upload was interrupted. Is the command still running?');
    request.send(file);
  }

  input.addEventListener('change', () => choose(input.files[0]));
  form.addEventListener('submit', event => event.preventDefault());
  // The defaults of the stack depend on the table.
  async function change() {
    const turn = ++asked;
    isStopped = true;
    allow();
    const table = form.elements.table.value;
    let response;
    try { response = await fetch('/imports/new?' + new URLSearchParams({ table })); } catch { /* as below */ }
    if (!response?.ok) return say('The defaults of the table cannot be read. Load the page again.', true);
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    if (turn !== asked) return;
    form.querySelector('.options').replaceWith(page.querySelector('.options'));
    form.elements.mode.value = page.querySelector('[name=mode]').value;
    await preview();
  }

  form.addEventListener('change', event => {
    if (event.target === input) return;
    if (event.target === form.elements.table) change();
    else preview();
  });
  senders.forEach(button => button.addEventListener('click', () => send(button)));
  for (const name of ['dragenter', 'dragover']) {
    zone.addEventListener(name, event => { event.preventDefault(); zone.classList.add('is-over'); });
  }
  zone.addEventListener('dragleave', () => zone.classList.remove('is-over'));
  zone.addEventListener('drop', event => {
    event.preventDefault();
    zone.classList.remove('is-over');
    input.files = event.dataTransfer.files;
    choose(input.files[0]);
  });
  // A file that misses the zone must not replace the page.
  for (const name of ['dragover', 'drop']) window.addEventListener(name, event => event.preventDefault());
}
