"""The page at `/`: the simulated account, live."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Compasso sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.4rem}dl{display:flex;flex-wrap:wrap;gap:1rem 2rem}dt{color:#666}
dd{margin:0;font-size:1.6rem}meter{width:100%;height:1.5rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;overflow-wrap:anywhere}
</style></head><body>
<h1>Simulated Connectif account</h1>
<p>Not the real service: what it does where nobody knows is a guess.</p>
<dl id="counts"></dl>
<h2>Request budget</h2>
<meter id="gauge" min="0" max="100" value="0"></meter><p id="budget"></p>
<h2>Last requests</h2>
<table><thead><tr><th>Time</th><th>Method</th><th>Path</th><th>Status</th></tr></thead>
<tbody id="requests"></tbody></table>
<script>
const byId = (id) => document.getElementById(id);
const cell = (row, text) => { const td = document.createElement("td"); td.textContent = text; row.append(td); };
async function show() {
  const now = await (await fetch("/_sandbox/status")).json();
  byId("counts").replaceChildren(...Object.entries(now.counts).map(([name, count]) => {
    const div = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = name; dd.textContent = count.toLocaleString("en"); dd.id = "count-" + name;
    div.append(dt, dd); return div; }));
  byId("gauge").max = now.budget.limit; byId("gauge").value = now.budget.used;
  byId("budget").textContent = now.budget.used + " of " + now.budget.limit + " requests used in this window";
  byId("requests").replaceChildren(...now.requests.reverse().map((r) => {
    const row = document.createElement("tr");
    cell(row, new Date(r.time * 1000).toLocaleTimeString()); cell(row, r.method); cell(row, r.path); cell(row, r.status ?? "");
    return row; }));
}
show(); setInterval(show, 1000);
</script></body></html>
"""
