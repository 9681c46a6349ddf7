// What people do, from the first operator to the bill.

import { assert, BASE_URL, join, journey, PHONE, writeFile } from './browser.mjs';

const { WELCOME, COOKIE, OTHER_COOKIE, KEY, OLD_KEY } = process.env;
const PASSWORD = 'correct horse battery';
const MODEL = 'openai/gpt-4o-mini';

// Asks a model as a program does: the status.
async function ask(key, model = MODEL) {
  const answer = await fetch(`${BASE_URL}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await answer.text();
  return answer.status;
}

async function signIn(person, user) {
  await person.go('/sign-in');
  await person.fill({ Name: user, Password: PASSWORD });
  await person.press('Sign in');
  await person.heading('Overview');
}

// The secret that a page shows once, which is also what its button copies.
async function secret(person) {
  const shown = await person.page.locator('#secret').innerText();
  await person.page.locator('[data-copy="#secret"]').click();
  await person.page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await person.page.evaluate(() => navigator.clipboard.readText()), shown);
  return shown;
}

async function makeKey(person, fields = { Name: 'first program' }) {
  await person.go('/keys/new');
  await person.fill(fields);
  await person.press('Make the key');
  await person.heading('Copy your key now');
  return secret(person);
}

// The operator, who invites somebody: the link.
async function firstOperator(browser) {
  const olga = await browser.person();
  await olga.go(WELCOME);
  await olga.look('welcome');
  await olga.fill({ 'Your name here': 'olga', 'A password of at least 12 characters': PASSWORD, 'The same once more': `${PASSWORD}!` });
  await olga.allowing(400, () => olga.press('Begin'));
  await olga.look('welcome, refused');
  await olga.fill({ 'A password of at least 12 characters': PASSWORD, 'The same once more': PASSWORD });
  await olga.press('Begin');
  await olga.heading('Overview');
  await olga.look('an empty overview');
  await olga.go('/operator/users');
  await olga.look('users');
  await olga.fill({ Name: 'ada' });
  await olga.press('Add');
  await olga.says('The user was added.');
  await olga.press('Make a link');
  await olga.look('a link to invite somebody');
  const link = await secret(olga);
  assert.ok(link.startsWith(`${BASE_URL}/password/`), link);
  await olga.press('Sign out');
  await olga.heading('Sign in');
  await olga.context.close();
  return link;
}

// A chat in the playground: the amounts that were told before and after.
async function play(ada) {
  const { page } = ada;
  await ada.go('/playground');
  await ada.field('Model').selectOption(MODEL);
  const most = page.locator('[data-price] dd.most .money');
  await ada.field('Your message').fill('Tell me about toll gates.');
  // The price of what would be sent follows what is written.
  await page.waitForResponse((response) => response.url().endsWith('/playground/price')
    && response.request().postData().includes('toll gates'));
  await most.waitFor();
  const before = await ada.amount(most);
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  const charged = page.locator('.line .cost .money');
  await charged.waitFor();
  const after = await ada.amount(charged);
  assert.ok(Number(after) > 0 && Number(after) <= Number(before), `${after} of ${before} at most`);
  const answer = await page.locator('.line:not(.mine)').first().innerText();
  assert.ok(answer.length > 20, answer);
  await ada.look('a chat');
  await ada.press('Receipt', 'link');
  await ada.heading('Receipt');
  await ada.look('a receipt');
  assert.equal(await ada.amount(page.locator('.tile .value .money')), after);
  return after;
}

// The bill as a page, by the API and in each file.
async function bill(ada, key) {
  const { page } = ada;
  await ada.go('/bills');
  await ada.look('bills');
  const month = await page.locator('table a[href^="/bills/"]').first().innerText();
  await ada.follow(month);
  await ada.look('a bill');
  const shown = await ada.amount(page.locator('.tile .value .money'));
  const check = await fetch(`${BASE_URL}/api/usage/check`, { headers: { user: 'ada', 'api-key': key } });
  const { priceToPay } = await check.json();
  assert.equal(priceToPay.exact.final_price, shown);
  const json = JSON.parse(await ada.download('JSON', 'bill.json'));
  const csv = (await ada.download('CSV', 'bill.csv')).toString();
  const pdf = await ada.download('PDF', 'bill.pdf');
  const text = (await ada.download('Text', 'bill.txt')).toString();
  assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
  return { month, shown, json, csv, text };
}

async function first(browser) {
  const link = await firstOperator(browser);
  const ada = await browser.person();
  await ada.go(link);
  await ada.look('an invitation');
  await ada.fill({ 'The new password, of at least 12 characters': PASSWORD, 'The same once more': PASSWORD });
  await ada.press('Choose it');
  await ada.heading('Overview');
  await ada.look('an overview without anything');
  for (const path of ['/requests', '/keys', '/bills']) {
    await ada.go(path);
    await ada.look(`${path}, empty`);
    assert.equal(await ada.page.locator('.empty a').count(), 1, `${path} says what to do`);
  }
  await ada.go('/keys/new');
  await ada.look('the form of a key');
  const key = await makeKey(ada);
  await ada.look('a key is shown');
  await ada.go('/keys');
  assert.ok(!(await ada.page.content()).includes(key), 'a key is shown once');
  assert.equal(await ask(key), 200);
  await play(ada);
  const { month, shown, json, csv, text } = await bill(ada, key);
  await ada.go('/');
  await ada.look('an overview after the first requests');
  const again = await browser.person();
  await ada.allowing(404, () => ada.go(link));
  await signIn(again, 'ada');
  await again.allowing(404, () => again.go('/operator'));
  await again.look('nothing here');
  return { month, shown, json, csv, text, key };
}

async function prices(browser) {
  const olga = await browser.person({ cookies: { tollgate: COOKIE } });
  await olga.go('/operator/prices/import');
  await writeFile(join(process.env.FOLDER, 'prices.csv'),
    'provider,model,price_per_token\nopenai,gpt-4o,0.0000001\nopenai,brand-new,0.000002\n');
  await olga.page.getByLabel('File', { exact: true }).setInputFiles(join(process.env.FOLDER, 'prices.csv'));
  await olga.page.waitForFunction(() => document.querySelector('#models').value.includes('brand-new'));
  await olga.fill({ Note: 'A trial' });
  await olga.press('Preview');
  await olga.says('1 new, 1 changed, 0 dropped');
  await olga.says('sold below the provider');
  await olga.look('what an import changes');
  // Nothing was done yet.
  const other = await browser.person({ cookies: { tollgate: COOKIE } });
  await other.go('/operator/prices?q=brand-new');
  await other.says('Nothing here fits');
  await olga.page.getByLabel('These changes are meant').check();
  await olga.press('Put these prices in force');
  await olga.says('The prices are in force.');
  await olga.says('Look at these');
  await olga.look('prices with an alarm');
  await olga.field('Model').fill('brand-new');
  await olga.page.waitForURL(/q=brand-new/);
  await olga.page.locator('#list-rows').getByText('brand-new').waitFor();
  await olga.go('/operator/prices/models/openai/gpt-4o');
  await olga.look('a model with two versions');
  await olga.go('/operator/prices/import');
  await olga.field('Prices').fill('provider,model,price_per_token\nopenai,x,-1\n');
  await olga.allowing(400, () => olga.press('Preview'));
  await olga.says('Nothing was imported');
  await olga.look('a file that is refused');
  await planned(olga);
}

// Prices that are to hold later: looked at, planned, withdrawn.
async function planned(olga) {
  await olga.go('/operator/prices/import');
  await olga.field('Prices').fill('provider,model,price_per_token\nopenai,gpt-4o-mini,0.000004\n');
  await olga.field('In force from, UTC').fill('2099-01-01T00:00');
  await olga.press('Preview');
  await olga.says('What changes on 2099-01-01');
  await olga.look('what an import changes later');
  const meant = olga.page.getByLabel('These changes are meant');
  if (await meant.count()) await meant.check();
  await olga.press('Plan these prices');
  await olga.says('The prices are planned.');
  await olga.look('prices that are to come');
  olga.page.once('dialog', (dialog) => dialog.accept());
  await olga.page.getByRole('button', { name: 'Withdraw the upcoming prices of openai/gpt-4o-mini' }).click();
  await olga.says('The upcoming prices are withdrawn.');
}

async function rotate(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE } });
  const old = await makeKey(ada, { Name: 'worker', 'Budget in USD': '5' });
  assert.equal(await ask(old), 200);
  await ada.go('/keys');
  await ada.follow('worker');
  const page = new URL(ada.page.url()).pathname;
  await ada.look('a key');
  await ada.field('The old one goes on for').selectOption({ label: '1 hour' });
  await ada.press('Rotate');
  await ada.heading('Copy your key now');
  await ada.says('The key before it goes on until');
  const next = await secret(ada);
  assert.notEqual(next, old);
  assert.deepEqual([await ask(old), await ask(next)], [200, 200], 'both work for a while');
  await ada.go(page);
  await ada.look('a key with another in its place');
  return { old, next, page };
}

async function rotated(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE } });
  assert.deepEqual([await ask(OLD_KEY), await ask(KEY)], [401, 200], 'the old one has ended');
  await ada.go('/keys');
  await ada.says('expired');
  await ada.look('keys, one of them expired');
}

async function revoke(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE } });
  const key = await makeKey(ada);
  assert.equal(await ask(key), 200);
  await ada.go('/keys');
  await ada.follow('first program');
  const asked = [];
  ada.page.on('dialog', (dialog) => {
    asked.push(dialog.message());
    return dialog.accept();
  });
  await ada.press('Switch off');
  assert.equal(await ask(key), 401);
  await ada.look('a key that is off');
  await ada.press('Switch on');
  assert.equal(await ask(key), 200);
  await ada.press('Revoke');
  const at = performance.now();
  await ada.says('The key was revoked.');
  assert.equal(await ask(key), 401);
  assert.ok(performance.now() - at < 1_000, 'within a second');
  assert.deepEqual(asked, ['Revoke this key for good?']);
  await ada.look('a key that is revoked');
}

async function organization(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE } });
  const bob = await browser.person({ cookies: { tollgate: OTHER_COOKIE } });
  await ada.go('/');
  // To choose with the arrow keys is not to go.
  await ada.page.evaluate(() => { window.stayed = true; });
  await ada.field('Account').press('ArrowDown');
  await ada.field('Account').selectOption('acme');
  assert.equal(await ada.page.evaluate(() => window.stayed), true);
  await ada.press('Switch');
  await ada.settled();
  await ada.go('/organization');
  await ada.fill({ 'User name': 'bob' });
  await ada.field('Role').selectOption('member');
  await ada.press('Add');
  await ada.says('bob');
  await ada.look('an organization');
  await ada.go('/keys/new');
  await ada.fill({ Name: 'of ada' });
  await ada.press('Make the key');
  const key = await ada.page.locator('#secret').innerText();
  assert.equal(await ask(key), 200);
  await bob.go('/');
  await bob.field('Account').selectOption('acme');
  await bob.press('Switch');
  await bob.settled();
  await bob.says('What your own keys spend from');
  await bob.look("a member's overview");
  await bob.go('/keys');
  assert.equal(await bob.page.getByText('of ada').count(), 0);
  await bob.go('/organization');
  assert.equal(await bob.page.getByRole('button', { name: 'Add' }).count(), 0, 'a member manages nobody');
  await bob.look("a member's organization");
  const shown = await bob.page.getByRole('navigation', { name: 'Main' }).innerText();
  assert.ok(!shown.includes('Bills') && shown.includes('API keys'), shown);
  await bob.allowing(403, () => bob.go('/bills'));
  await bob.look('not for members');
  await ada.go('/organization');
  await ada.field('Role of bob').selectOption('billing');
  await ada.press('Save the role of bob');
  await ada.page.waitForURL(/done=member-set/);
  await bob.go('/bills');
  await bob.heading('Bills');
  await bob.allowing(403, () => bob.go('/keys'));
}

async function operator(browser) {
  const olga = await browser.person({ cookies: { tollgate: COOKIE } });
  const ada = await browser.person({ cookies: { tollgate: OTHER_COOKIE } });
  await olga.go('/operator/users');
  await olga.field('Find a name').fill('ad');
  await olga.page.waitForURL(/q=ad/);
  await olga.follow('ada');
  await olga.heading('ada');
  await olga.fill({ 'Credit line in USD': '0' });
  await olga.field('Pays').selectOption({ label: 'first, with credit' });
  await olga.press('Save');
  await olga.page.locator('#usd').fill('12.50');
  await olga.page.locator('#reason').fill('Invoice 7');
  await olga.press('Add credit');
  await olga.says('The credit was added.');
  await olga.look('a customer with credit');
  await ada.go('/');
  await ada.says('Credit left');
  assert.equal(await ada.amount(ada.page.locator('.tile .value .money')), '12.5');
  await ada.look('an overview with credit');
  await olga.go('/operator/audit');
  await olga.says('credit.add');
  await olga.says('account.pays');
  await olga.look('the audit log');
  await olga.field('What').selectOption('credit.add');
  await olga.page.waitForURL(/action=credit\.add/);
  const csv = (await olga.download('Download CSV', 'audit.csv')).toString();
  assert.ok(csv.includes('Invoice 7') && !csv.includes('account.pays'), csv);
}

// By keyboard, on a phone, and without scripts.
async function lists(browser) {
  const cookies = { tollgate: COOKIE };
  const olga = await browser.person({ cookies });
  const order = (person) => person.page.locator('#list-rows th[aria-sort]').getAttribute('aria-sort');
  const names = (person) => person.page.locator('#list-rows tbody tr td:first-child').allInnerTexts();
  await olga.go('/operator/users');
  assert.equal(await order(olga), 'ascending');
  const up = await names(olga);
  assert.ok(up.length > 1, `${up}`);
  await olga.page.locator('#list-by-name').focus();
  await olga.page.keyboard.press('Enter');
  await olga.page.waitForURL(/sort=-name/);
  await olga.page.locator('th[aria-sort=descending]').waitFor();
  assert.deepEqual(await names(olga), [...up].reverse());
  // Whoever goes on by keyboard goes on from there.
  await olga.page.waitForFunction(() => document.activeElement?.id === 'list-by-name');
  await olga.page.keyboard.press('Enter');
  await olga.page.locator('th[aria-sort=ascending]').waitFor();
  await olga.look('users, sorted');
  // What is looked for keeps the order, and the order what is looked for.
  await olga.page.locator('#list-by-created_at').click();
  await olga.page.waitForURL(/sort=-created_at/);
  await olga.field('Find a name').fill(up[0].slice(0, 3));
  await olga.page.waitForURL(/q=/);
  assert.match(olga.page.url(), /sort=-created_at/);
  await olga.page.locator('#list-by-name').click();
  await olga.page.waitForURL(/sort=name/);
  assert.match(olga.page.url(), /q=/);
  await olga.page.getByRole('link', { name: 'Clear' }).click();
  await olga.page.waitForFunction(() => !location.search.includes('q='));
  assert.deepEqual(await names(olga), up);

  const phone = await browser.person({ cookies, view: { scheme: 'light', device: 'phone', size: PHONE } });
  await phone.go('/operator/users');
  await phone.field('Sort by').selectOption('-name');
  await phone.page.waitForURL(/sort=-name/);
  await phone.page.waitForFunction((first) => document.querySelector('#list-rows tbody td')?.innerText.includes(first), up.at(-1));

  const plain = await browser.person({ cookies, scripts: false });
  await plain.page.goto('/operator/users');
  await plain.page.locator('#list-by-name').click();
  await plain.page.waitForURL(/sort=-name/);
  assert.deepEqual(await names(plain), [...up].reverse());
}

async function consent(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE } });
  const verifier = 'v'.repeat(43);
  const back = `${BASE_URL}/connect?from=app`;
  const asked = new URLSearchParams({ callback_url: back, code_challenge: verifier, code_challenge_method: 'plain' });
  await ada.go(`/auth?${asked}`);
  await ada.heading('A program asks for a key');
  await ada.look('consent');
  await ada.fill({ 'Budget in USD': '2' });
  await ada.page.getByRole('button', { name: /^Let .* have a key$/ }).click();
  await ada.page.waitForURL(/from=app/);
  const code = new URL(ada.page.url()).searchParams.get('code');
  assert.ok(code, ada.page.url());
  const bring = await fetch(`${BASE_URL}/api/v1/auth/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code, code_verifier: verifier, code_challenge_method: 'plain' }),
  });
  const { key } = await bring.json();
  assert.equal(await ask(key), 200);
  await ada.allowing(400, () => ada.go('/auth?callback_url=javascript%3A1'));
  await ada.look('consent, refused');
}

// What needs no script does without: forms, filters, the other account.
async function plain(browser) {
  const ada = await browser.person({ cookies: { tollgate: COOKIE }, scripts: false });
  const { page } = ada;
  const button = (name) => page.getByRole('button', { name, exact: true });
  await page.goto('/keys/new');
  await ada.fill({ Name: 'by a plain form' });
  await button('Make the key').click();
  await ada.heading('Copy your key now');
  assert.equal(await button('Copy').count(), 0, 'nothing that would do nothing');
  assert.equal(await ask(await page.locator('#secret').innerText()), 200);
  await page.goto('/requests');
  await ada.field('Model').selectOption(MODEL);
  await button('Filter').click();
  await page.waitForURL(/model=openai%2Fgpt-4o-mini/);
  await ada.says('by a plain form');
  await ada.field('Account').selectOption('acme');
  await button('Switch').click();
  await ada.heading('Overview');
  await ada.says('What acme has and spends.');
  await page.goto('/playground');
  await ada.says('streams answers with a script');
}

// Where the keyboard is now, and whether that can be seen.
function focus() {
  const one = document.activeElement;
  // What is not to be seen itself is by its label.
  const shown = one.classList.contains('hidden') ? document.querySelector(`label[for=${one.id}]`) : one;
  const style = getComputedStyle(shown);
  const box = shown.getBoundingClientRect();
  const label = one.getAttribute('aria-label') ?? one.labels?.[0]?.innerText ?? one.innerText ?? '';
  return {
    name: label.trim().split('\n')[0],
    tag: one.tagName.toLowerCase(),
    outlined: style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2,
    inside: box.top >= 0 && box.bottom <= window.innerHeight && box.width > 0,
    top: box.top + window.scrollY,
  };
}

// Goes on with Tab until it is there; every step on the way has to be seen.
async function tabTo(person, name, most = 40) {
  const way = [];
  for (let step = 0; step < most; step += 1) {
    await person.page.keyboard.press('Tab');
    await person.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const at = await person.page.evaluate(focus);
    way.push(at);
    assert.ok(at.outlined, `the focus is not seen at ${JSON.stringify(at)}`);
    assert.ok(at.inside, `the focus is outside at ${JSON.stringify(at)}`);
    if (at.name === name) return way;
  }
  throw new Error(`no way to ${name}: ${JSON.stringify(way.map((at) => at.name))}`);
}

async function enter(person) {
  await Promise.all([person.page.waitForEvent('load'), person.page.keyboard.press('Enter')]);
  await person.settled();
}

async function keyboard(browser) {
  const ada = await browser.person();
  const { page } = ada;
  await ada.go(WELCOME);
  assert.equal((await page.evaluate(focus)).name, 'Your name here', 'one can begin to write');
  await page.keyboard.type('ada');
  await tabTo(ada, 'A password of at least 12 characters', 1);
  await page.keyboard.type(PASSWORD);
  await tabTo(ada, 'The same once more', 1);
  await page.keyboard.type(PASSWORD);
  await enter(ada);
  await ada.heading('Overview');
  await tabTo(ada, 'Sign out');
  await enter(ada);
  await ada.heading('Sign in');
  await page.keyboard.type('ada');
  await tabTo(ada, 'Password', 1);
  await page.keyboard.type(PASSWORD);
  await enter(ada);
  await ada.heading('Overview');
  // The first stop leads past the navigation.
  await tabTo(ada, 'Skip to the content', 1);
  await page.keyboard.press('Enter');
  const way = await tabTo(ada, 'New key', 1);
  assert.equal(way.length, 1);
  await enter(ada);
  await ada.heading('New key');
  await tabTo(ada, 'Skip to the content', 1);
  await page.keyboard.press('Enter');
  const form = await tabTo(ada, 'Make the key');
  const tops = form.map((at) => at.top);
  assert.deepEqual(tops, tops.toSorted((a, b) => a - b), 'from the top to the bottom');
  await page.keyboard.press('Shift+Tab');
  for (let back = form.length - 3; back > 0; back -= 1) await page.keyboard.press('Shift+Tab');
  assert.equal((await page.evaluate(focus)).name, 'Name');
  await page.keyboard.type('by keyboard');
  await enter(ada);
  await ada.heading('Copy your key now');
  const key = await page.locator('#secret').innerText();
  await tabTo(ada, 'Copy');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  assert.equal(await ask(key), 200);
  // On a phone the navigation is behind a button that the keyboard reaches.
  await page.setViewportSize({ width: 390, height: 844 });
  await ada.go('/');
  await tabTo(ada, 'Show the navigation');
  await page.keyboard.press('Space');
  await tabTo(ada, 'API keys');
  await enter(ada);
  await ada.heading('API keys');
}

await journey({ first, prices, rotate, rotated, revoke, organization, operator, lists, consent, plain, keyboard });
