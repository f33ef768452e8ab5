// The app in a real browser against the real server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { big, fill, post } from '../data.js';
import { axeSource, browser, open, server } from './start.js';

/** @type {Awaited<ReturnType<typeof server>>} */ let trefoil;
/** @type {import('playwright-core').Browser} */ let chrome;
/** @type {{ error: string, ok: string, errorSpan: string }} */ let ids;
let bigId = '';

before(async () => {
  trefoil = await server();
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  await trefoil?.stop();
});

/** @param {(page: import('playwright-core').Page) => Promise<void>} run @param {'light' | 'dark'} [theme] */
async function visit(run, theme) {
  const { page, problems, close } = await open(chrome, theme);
  try {
    await run(page);
    assert.deepEqual(problems, [], 'the console is quiet');
  } finally {
    await close();
  }
}

const at = (/** @type {string} */ path) => `${trefoil.base}/ui/${path}`;

test('the empty page helps, and becomes the overview by itself when data arrives', () => visit(async (page) => {
  if (process.env.TREFOIL_URL) {
    // A server that is named may have data already.
    ids = await fill(trefoil.base, 300);
  } else {
    await page.goto(at(''));
    await page.getByText('Nothing has arrived yet').waitFor();
    await page.getByRole('tab', { name: 'Python' }).click();
    await page.getByText('opentelemetry-instrument').waitFor();
    assert.deepEqual(await violations(page), []);
    ids = await fill(trefoil.base, 300);
  }
  const made = big(10_000, Date.now());
  bigId = made.id;
  await post(trefoil.base, 'traces', made.traces);
  if (process.env.TREFOIL_URL) await page.goto(at(''));
  await page.getByRole('link', { name: 'payment' }).first().waitFor();
}));

test('overview: the failing services come first, errors are listed', () => visit(async (page) => {
  await page.goto(at(''));
  const rows = page.locator('tbody tr[id^=svc-]');
  await rows.first().waitFor();
  const names = await rows.locator('td:first-child').allInnerTexts();
  assert.ok(names.indexOf('payment') < names.indexOf('inventory'), names.join());
  await page.getByRole('link', { name: /charge failed/ }).waitFor();
}));

test('search a trace, open the waterfall, jump to its logs and back', () => visit(async (page) => {
  await page.goto(at('traces'));
  const box = page.getByLabel('Search traces');
  await box.fill('error=true AND operation="payment.Charge"');
  await box.press('Enter');
  await page.getByText('ran as').waitFor();
  assert.match(await page.locator('code').first().innerText(), /status = error/);
  await page.getByRole('link', { name: 'POST /checkout' }).first().click();
  // It opens at the deepest error.
  const chosen = page.getByRole('row', { selected: true });
  await chosen.waitFor();
  assert.match(await chosen.innerText(), /payment\.Charge/);
  await page.getByRole('tab', { name: /^Logs/ }).click();
  await page.getByText(/charge failed: card declined/).waitFor();
  const trace = page.url();
  await page.getByRole('link', { name: 'In logs' }).first().click();
  await page.waitForURL(/\/ui\/logs/);
  await page.locator('.log-detail').waitFor();
  await page.getByRole('link', { name: 'Open its span' }).click();
  await page.waitForURL(/\/ui\/trace\//);
  assert.match(await page.getByRole('row', { selected: true }).innerText(), /payment\.Charge/);
  await page.goBack();
  await page.waitForURL(/\/ui\/logs/);
  await page.goBack();
  await page.waitForURL(trace);
}));

test('by keyboard alone: overview, traces, a trace, its errors and logs', () => visit(async (page) => {
  await page.goto(at(''));
  await page.getByRole('link', { name: 'payment' }).first().waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await page.waitForURL(/\/ui\/traces/);
  await page.locator('#trace-0').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('{ status = error }');
  await page.keyboard.press('Enter');
  await page.waitForURL(/status/);
  await page.locator('#trace-0 .badge').waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/ui\/trace\//);
  const chosen = page.getByRole('row', { selected: true });
  await chosen.waitFor();
  const first = await chosen.innerText();
  await page.keyboard.press('e');
  await page.waitForFunction((text) => /** @type {HTMLElement} */ (document.querySelector('.span.on'))?.innerText !== text, first);
  await page.keyboard.press('[');
  await page.waitForFunction(() => document.querySelectorAll('.span').length === 1);
  await page.keyboard.press(']');
  await page.waitForFunction(() => document.querySelectorAll('.span').length > 5);
  await page.keyboard.press('l');
  await page.waitForURL(/tab=logs/);
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keys' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Control+k');
  // As fast as a key follows a key: none of them may get lost.
  await page.keyboard.type(ids.ok);
  await page.getByRole('option', { name: `Open trace ${ids.ok}` }).waitFor();
  await page.keyboard.press('Enter');
  await page.waitForURL(new RegExp(ids.ok));
}));

test('logs: a click narrows the query, the URL says so, plain words are searched for', () => visit(async (page) => {
  await page.goto(at('logs'));
  await page.locator('.log').first().waitFor();
  await page.getByRole('button', { name: 'payment', exact: true }).click();
  await page.waitForFunction(() => [...document.querySelectorAll('.log .clip')].every((e) => e.textContent === 'payment'));
  assert.match(new URL(page.url()).searchParams.get('q') ?? '', /service_name="payment"/);
  const box = page.getByLabel('Search logs');
  await box.fill('declined');
  await box.press('Enter');
  await page.waitForFunction(() => { const all = [...document.querySelectorAll('.log .line')]; return all.length > 0 && all.every((e) => e.textContent?.includes('declined')); });
  await page.reload();
  await page.locator('.log').first().waitFor();
  assert.equal(await box.inputValue(), '{service_name=~".+"} |= "declined"');
}));

test('live: new lines appear, pause holds them back and says how many', () => visit(async (page) => {
  await page.goto(at('logs?live=1'));
  await page.getByText('● live').waitFor();
  const send = (/** @type {string} */ text) => post(trefoil.base, 'logs', { resourceLogs: [{ resource: { attributes: [{ key: 'service.name', value: { stringValue: 'live' } }] }, scopeLogs: [{ logRecords: [{ timeUnixNano: `${Date.now()}000000`, body: { stringValue: text } }] }] }] });
  await send('first line');
  await page.getByText('first line').waitFor();
  await page.keyboard.press('Space');
  await page.getByText('Paused').waitFor();
  await send('second line');
  await page.getByText(/1 new/).waitFor();
  assert.equal(await page.getByText('second line').count(), 0);
  await page.keyboard.press('Space');
  await page.getByText('second line').waitFor();
}));

test('metrics: the catalogue leads to a chart, a wrong query shows where', async () => {
  const { page, problems, close } = await open(chrome);
  await page.goto(at('metrics'));
  await page.getByRole('button', { name: /orders_placed_total/ }).click();
  await page.locator('.u-over').waitFor();
  assert.match(await page.getByLabel('PromQL').inputValue(), /rate\(orders_placed_total/);
  assert.deepEqual(problems, []);
  await page.getByRole('button', { name: 'Table', exact: true }).click();
  await page.getByRole('cell', { name: 'payment' }).waitFor();
  await page.getByLabel('PromQL').fill('sum(rate(orders_placed_total[5m])');
  await page.getByLabel('PromQL').press('Enter');
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByRole('cell', { name: 'payment' }).count(), 1, 'the last good result stays');
  await close();
});

test('exemplars lead to a trace', () => visit(async (page) => {
  await page.goto(at(`metrics?q=${encodeURIComponent('histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))')}`));
  await page.getByRole('link', { name: /^◆/ }).first().click();
  await page.waitForURL(/\/ui\/trace\//);
  await page.getByRole('row', { selected: true }).waitFor();
}));

test('services and the map lead to each other', () => visit(async (page) => {
  await page.goto(at('map'));
  await page.getByRole('link', { name: /^checkout/ }).click();
  await page.waitForURL(/services\/checkout/);
  await page.getByRole('heading', { name: 'Operations' }).waitFor();
  await page.getByRole('link', { name: 'On the map' }).click();
  await page.waitForURL(/map.*focus=checkout/);
}));

test('a trace that is not there says why and what to do', async () => {
  const { page, close } = await open(chrome);
  await page.goto(at('trace/000000000000000000000000deadbeef'));
  await page.getByText('0 spans of this trace').waitFor();
  await page.getByRole('link', { name: 'Logs that name it' }).waitFor();
  await close();
});

test('10,000 spans: few rows in the document, smooth to scroll', () => visit(async (page) => {
  await page.goto(at(`trace/${bigId}`));
  await page.getByText('10.0 k spans').waitFor();
  const seen = await page.evaluate(async () => {
    const rows = /** @type {HTMLElement} */ (document.querySelector('.rows'));
    let most = 0;
    let slow = 0;
    const watch = new PerformanceObserver((list) => { for (const entry of list.getEntries()) slow = Math.max(slow, entry.duration); });
    watch.observe({ type: 'longtask' });
    const started = performance.now();
    let frames = 0;
    for (let y = 0; y < 60_000; y += 1500) {
      rows.scrollTop = y;
      await new Promise((done) => { requestAnimationFrame(done); });
      frames += 1;
      most = Math.max(most, document.querySelectorAll('.span').length);
    }
    return { most, slow, perFrame: (performance.now() - started) / frames, top: rows.scrollTop };
  });
  assert.ok(seen.most > 10 && seen.most <= 80, `${seen.most} rows`);
  assert.ok(seen.top > 50_000, 'it scrolled');
  // A shared machine without a GPU: far above the budget, low enough to notice a row per span.
  assert.ok(seen.slow < 400 && seen.perFrame < 150, `longest task ${seen.slow} ms, ${seen.perFrame} ms per frame`);
}));

test('the URL alone restores the screen', () => visit(async (page) => {
  await page.goto(at(`trace/${ids.error}?span=${ids.errorSpan}&tab=events`));
  await page.getByText('CardDeclined: card declined').waitFor();
  const text = await page.locator('aside.side').innerText();
  const other = await open(chrome, 'dark');
  await other.page.goto(page.url());
  await other.page.getByText('CardDeclined: card declined').waitFor();
  assert.equal(await other.page.locator('aside.side').innerText(), text);
  await other.close();
}));

/** @param {import('playwright-core').Page} page */
async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => /** @type {any} */ (window).axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  return found.violations.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.slice(0, 3).map((/** @type {any} */ n) => `${n.target} ${n.failureSummary?.split('\n')[1] ?? ''}`).join(' | ')}`);
}

for (const theme of /** @type {const} */ (['light', 'dark'])) {
  test(`axe finds nothing on any page, ${theme}`, () => visit(async (page) => {
    const pages = ['', 'logs', 'metrics?q=orders_placed_total', 'traces', `trace/${ids.error}`, `trace/${ids.error}?tab=logs`, 'services', 'services/payment', 'map', 'status', 'logs?q=%7Bapp%3D%22none%22%7D'];
    const found = /** @type {Record<string, string[]>} */ ({});
    for (const path of pages) {
      await page.goto(at(path));
      await page.waitForLoadState('networkidle').catch(() => {});
      await page.waitForTimeout(300);
      const here = await violations(page);
      if (here.length) found[path] = here;
    }
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    found.help = await violations(page);
    assert.deepEqual(found, { help: [] });
  }, theme));
}

test('when the server goes away the page says so and keeps what it shows', async () => {
  const { page, close } = await open(chrome);
  await page.goto(at('services'));
  await page.locator('#svc-0').waitFor();
  await page.context().setOffline(true);
  await page.keyboard.press('r');
  await page.getByText(/Disconnected since/).waitFor();
  assert.ok(await page.locator('#svc-0').isVisible());
  await page.context().setOffline(false);
  await page.getByRole('button', { name: 'Retry now' }).click();
  await page.getByText(/Disconnected since/).waitFor({ state: 'detached' });
  await close();
});
