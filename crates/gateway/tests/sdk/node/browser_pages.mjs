// Every page that there is, in every view. With SCREENS they are kept as pictures as well.

import { assert, Browser, VIEWS, fault, join, journey } from './browser.mjs';

const { SCREENS } = process.env;
const GROUPS = JSON.parse(process.env.GROUPS);

// A question and its answer: the simulator says what its instructions tell it to.
async function chat(person) {
  const { page } = person;
  const answer = 'A toll gate lets through whoever has paid. This one writes a receipt for each passage: what was counted, '
    + 'at which price, and with which commission.';
  await person.field('Instructions').fill(`say:${answer}`);
  await person.field('Your message').fill('What does a toll gate do?');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.locator('.line .cost .money').waitFor();
  assert.ok((await page.locator('[data-lines]').innerText()).includes(answer));
  await person.field('Instructions').fill('You are brief.');
  await page.waitForResponse((response) => response.request().postData()?.includes('You are brief.'));
}

// The path of a page; of one with parameters that of the first link to such a page.
async function path(person, place) {
  if (place.path) return place.path;
  await person.go(place.from);
  const links = await person.page.locator('main a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
  // An id or a month, and no other page beside it.
  const found = links.find((href) => href.startsWith(place.link) && /^[0-9a-f-]+$/.test(href.slice(place.link.length)));
  assert.ok(found, `no ${place.route} on ${place.from}`);
  return found;
}

// From the top of a page, and not much more of a long one.
async function picture(page, path, { width, height }) {
  await page.mouse.move(0, height - 1);
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  const whole = await page.evaluate(() => document.documentElement.scrollHeight);
  const clip = { x: 0, y: 0, width, height: Math.min(whole, 2 * height) };
  await page.screenshot({ path, clip, fullPage: true, animations: 'disabled' });
}

// A page is loaded anew for each view, so that what moves while it comes is seen.
async function visit(person, place, view) {
  const to = await path(person, place);
  const name = `${place.route ?? to} (${view.scheme}, ${view.device})`;
  await person.allowing(place.status ?? 200, () => person.go(to));
  const at = new URL(person.page.url());
  if (at.pathname + at.search !== to) fault(name, `leads to ${at.pathname}`);
  // Its script asks for the price a little later.
  if (place.chat) await person.page.locator('[data-price] dd.most').waitFor();
  await person.moved(name);
  if (place.chat) await chat(person);
  await person.judge(name, view);
  if (!SCREENS || !place.picture) return;
  await picture(person.page, join(SCREENS, `${place.picture}.${view.scheme}.${view.device}.png`), view.size);
}

async function pages(browser) {
  for (const view of VIEWS) {
    for (const { cookies, places } of GROUPS) {
      const person = await browser.person({ cookies, view });
      for (const place of places) await visit(person, place, view);
      await person.context.close();
    }
  }
}

await journey({ pages });
