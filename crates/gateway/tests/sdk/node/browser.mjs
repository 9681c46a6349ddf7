// What the scripts for the browser have in common: Chromium, and an eye on every page that it shows.
//
// A page is looked at on a desktop and on a phone, light and dark. What is wrong with it is gathered, so that one run tells
// everything; a journey that cannot go on ends at once.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

export const { BASE_URL, FOLDER, JOURNEY } = process.env;
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
const VIEWS = [
  { scheme: 'light', device: 'desktop', size: DESKTOP },
  { scheme: 'dark', device: 'desktop', size: DESKTOP },
  { scheme: 'light', device: 'phone', size: PHONE },
  { scheme: 'dark', device: 'phone', size: PHONE },
];
// Two busy cores are slow.
const PATIENCE = 60_000;
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const MOST_SHIFT = 0.01;
const LEAST_TARGET = 24;

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const faults = [];
const seen = new Set();

export function fault(where, what) {
  faults.push(`${where}: ${what}`);
}

// Before anything of a page runs.
function watch() {
  window.shifts = [];
  window.violations = [];
  const names = (entry) => entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.textContent?.slice(0, 60));
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push([entry.value, names(entry)]);
  }).observe({ type: 'layout-shift', buffered: true });
  document.addEventListener('securitypolicyviolation', (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
  });
}

export class Browser {
  static async start() {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      // A sandbox of its own is not to be had by root; what is shown is ours.
      args: ['--lang=en-GB', '--no-sandbox', '--disable-dev-shm-usage', '--font-render-hinting=none'],
    });
    return Object.assign(new Browser(), { browser });
  }

  // Somebody with a browser of their own, who may be signed in already.
  async person({ cookies = {}, view = VIEWS[0], scripts = true } = {}) {
    const context = await this.browser.newContext({
      baseURL: BASE_URL,
      viewport: view.size,
      colorScheme: view.scheme,
      javaScriptEnabled: scripts,
      reducedMotion: 'no-preference',
      locale: 'en-GB',
      timezoneId: 'UTC',
      permissions: ['clipboard-read', 'clipboard-write'],
      acceptDownloads: true,
    });
    const known = Object.entries(cookies).map(([name, value]) => ({ name, value, url: BASE_URL, httpOnly: true }));
    await context.addCookies(known);
    context.setDefaultTimeout(PATIENCE);
    await context.addInitScript(watch);
    const page = await context.newPage();
    return new Person(context, page);
  }

  close() {
    return this.browser.close();
  }
}

export class Person {
  constructor(context, page) {
    Object.assign(this, { context, page, allowed: [], running: new Set() });
    const at = () => new URL(page.url()).pathname;
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      // Chromium tells of an answer above 399 here too.
      if (/status of (\d+)/.test(message.text()) && this.allows(Number(RegExp.$1))) return;
      fault(at(), `the console says ${message.text()}`);
    });
    page.on('request', (request) => this.running.add(request));
    page.on('requestfinished', (request) => this.running.delete(request));
    page.on('pageerror', (error) => fault(at(), `a script failed: ${error.message}`));
    page.on('requestfailed', (request) => {
      this.running.delete(request);
      const why = request.failure()?.errorText;
      // Given up by the page itself: it leads elsewhere by now, or has become a file.
      if (why === 'net::ERR_ABORTED') return;
      fault(at(), `${request.method()} ${request.url()} failed: ${why}`);
    });
    page.on('response', (response) => {
      const status = response.status();
      if (status >= 400 && !this.allows(status)) fault(at(), `${response.url()} was answered with ${status}`);
    });
  }

  // What is asked for next may be answered with that.
  allows(status) {
    return this.allowed.includes(status);
  }

  async allowing(status, act) {
    this.allowed.push(status);
    await act();
    await this.settled();
    this.allowed.pop();
  }

  async go(path) {
    await this.page.goto(path, { waitUntil: 'load' });
    await this.settled();
  }

  // Until nothing is under way any more.
  async settled() {
    await this.page.waitForLoadState('load');
    do {
      await this.page.evaluate(async () => {
        await document.fonts.ready;
        await Promise.allSettled(document.getAnimations().map((one) => one.finished));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      });
    } while (this.running.size > 0);
  }

  field(label) {
    return this.page.getByLabel(label, { exact: true });
  }

  async fill(fields) {
    for (const [label, value] of Object.entries(fields)) await this.field(label).fill(value);
  }

  // Presses a button, or follows a link, and waits for where it leads.
  async press(name, role = 'button') {
    const target = this.page.getByRole(role, { name, exact: true });
    await Promise.all([this.page.waitForEvent('load', { timeout: PATIENCE }), target.click()]);
    await this.settled();
  }

  follow(name) {
    return this.press(name, 'link');
  }

  async heading(text) {
    await this.page.getByRole('heading', { level: 1, name: text }).waitFor();
  }

  async says(text) {
    const shown = await this.page.locator('main').innerText();
    assert.ok(shown.includes(text), `${this.page.url()} does not say ${text}:\n${shown}`);
  }

  // The whole amount that stands behind a short one.
  async amount(locator) {
    const title = await locator.first().getAttribute('title');
    const found = /^(-?[\d.]+) USD$/.exec(title ?? '');
    assert.ok(found, `no amount in ${title}`);
    return found[1];
  }

  async download(name, as) {
    const link = this.page.getByRole('link', { name, exact: true });
    const [download] = await Promise.all([this.page.waitForEvent('download'), link.click()]);
    assert.equal(await download.failure(), null);
    await download.saveAs(join(FOLDER, as));
    return readFile(join(FOLDER, as));
  }

  // Looks at what is shown now, in every view.
  async look(name) {
    await this.settled();
    await this.moved(name);
    for (const view of VIEWS) {
      await this.page.setViewportSize(view.size);
      await this.page.emulateMedia({ colorScheme: view.scheme });
      await this.settled();
      await this.judge(`${name} (${view.scheme}, ${view.device})`, view);
    }
    await this.page.setViewportSize(VIEWS[0].size);
    await this.page.emulateMedia({ colorScheme: VIEWS[0].scheme });
    await this.settled();
    await this.page.evaluate(() => { window.shifts = []; });
    seen.add(name);
  }

  // What has moved since the page began.
  async moved(name) {
    const { shifts, violations } = await this.page.evaluate(() => ({ shifts: window.shifts, violations: window.violations }));
    const sum = shifts.reduce((total, [value]) => total + value, 0);
    if (sum >= MOST_SHIFT) fault(name, `what is shown moved by ${sum.toFixed(4)}: ${JSON.stringify(shifts)}`);
    for (const what of violations) fault(name, `the content policy forbids ${what}`);
  }

  async judge(name, view) {
    const { page } = this;
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
    const found = await page.evaluate(async (values) => {
      const result = await window.axe.run(document, { runOnly: { type: 'tag', values }, resultTypes: ['violations'] });
      return result.violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.html.slice(0, 160)}: ${node.failureSummary.replaceAll('\n', ' ').slice(0, 260)}`));
    }, RULES);
    for (const what of found) fault(name, what);
    const wide = await page.evaluate(() => {
      const most = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= most) return [];
      const out = [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > most + 1);
      return out.slice(0, 4).map((one) => one.outerHTML.slice(0, 120));
    });
    if (wide.length > 0) fault(name, `is wider than ${view.size.width}: ${wide.join(' | ')}`);
    for (const what of await page.evaluate(small, LEAST_TARGET)) fault(name, `too small to touch: ${what}`);
  }
}

// What can be touched and is smaller than that, but for links in a text, which are as high as their line.
function small(least) {
  const touched = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [role=button]';
  const shown = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && one.tabIndex >= 0;
  const inline = (one) => one.tagName === 'A' && getComputedStyle(one).display === 'inline';
  return [...document.querySelectorAll(touched)]
    .filter((one) => shown(one) && !inline(one) && !one.classList.contains('hidden') && !one.classList.contains('skip'))
    // A box is touched by its label as well.
    .map((one) => (one.matches('[type=checkbox], [type=radio]') ? (one.closest('label') ?? one) : one))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width < least - 0.5 || box.height < least - 0.5)
    .map(([one, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${one.outerHTML.slice(0, 100)}`);
}

// Goes the journey that is asked for, and tells what it found out.
export async function journey(journeys) {
  const browser = await Browser.start();
  let told;
  try {
    told = (await journeys[JOURNEY](browser)) ?? {};
  } catch (error) {
    fault(JOURNEY, error.stack);
  } finally {
    await browser.close();
  }
  if (faults.length > 0) {
    console.error([...new Set(faults)].join('\n'));
    process.exit(1);
  }
  console.log(JSON.stringify({ ...told, seen: [...seen] }));
}

export { assert, VIEWS, writeFile, join };
