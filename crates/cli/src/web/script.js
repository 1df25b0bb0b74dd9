// What a page does by itself: shows what changes, sorts, filters and copies. Without it, all else works.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const body = document.body, job = find("job"), table = find("results"), link = find("link");
  const BLOCK = 100, ANNOUNCE = 5000;
  const zone = { hour: "2-digit", minute: "2-digit" };
  let version = job ? Number(job.dataset.version) : 0;
  let source, over = false, announced = 0, phase = job && job.dataset.phase;

  const localize = (root) => root.querySelectorAll("time[datetime]").forEach((time) => {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], zone);
    time.title = at.toLocaleString();
  });
  const say = (text) => { link.textContent = text; link.hidden = !text; };
  const group = (number) => number == null ? "" : String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  // The rows by their places.
  const rows = new Map();
  if (table) table.querySelectorAll("tbody tr").forEach((row) => rows.set(Number(row.dataset.index), row));

  const put = (cell, text, titled) => {
    if (cell.textContent !== text) cell.textContent = text;
    if (titled) cell.title = text;
  };
  const show = (data) => {
    const row = rows.get(data.index);
    if (!row) return;
    const [, sum, status, bytes, node, ms] = row.cells;
    const text = { waiting: "waiting", running: "running", done: data.sha256, failed: data.error || "failed" };
    row.dataset.state = data.state;
    put(sum, text[data.state] || "", true);
    put(status, data.status == null ? "" : String(data.status));
    put(bytes, group(data.bytes));
    // It breaks before its host.
    const name = data.node || "", at = name.indexOf("@");
    if (node.textContent !== name) {
      if (at < 0) put(node, name, true);
      else node.replaceChildren(name.slice(0, at), document.createElement("wbr"), name.slice(at));
      node.title = name;
    }
    put(ms, data.state === "waiting" ? "" : group(data.ms));
  };
  const head = (data) => {
    const { job: now, summary } = data, running = now.phase === "running";
    job.dataset.phase = now.phase;
    job.toggleAttribute("data-failed", now.failed > 0);
    find("bar").value = now.done + now.failed;
    put(find("progress"), summary);
    document.title = summary + " · peerl";
    find("cancel").hidden = !running;
    find("retry").hidden = running || !now.failed;
    const filter = find("filter");
    if (!filter.dataset.on) filter.hidden = !now.failed;
    const time = Date.now();
    if (now.phase !== phase || time - announced > ANNOUNCE) {
      [announced, phase] = [time, now.phase];
      put(find("live"), summary);
    }
  };

  const replace = (html) => {
    const old = find("cluster");
    if (!old) return;
    const scrolled = old.querySelector(".scroll"), focused = scrolled && scrolled === document.activeElement;
    const [left, top] = scrolled ? [scrolled.scrollLeft, scrolled.scrollTop] : [0, 0];
    old.outerHTML = html;
    const fresh = find("cluster");
    localize(fresh);
    const scroll = fresh.querySelector(".scroll");
    if (!scroll) return;
    [scroll.scrollLeft, scroll.scrollTop] = [left, top];
    if (focused) scroll.focus({ preventScroll: true });
  };

  const listen = () => {
    if (source || over || !body.dataset.events) return;
    source = new EventSource(body.dataset.events + (job ? "?after=" + version : ""));
    const on = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data), event));
    source.onopen = () => say("");
    source.onerror = () => {
      say("The page has lost its connection, and connects again. What is shown may be old.");
      // After an answer that is no stream, browsers do not come again by themselves.
      if (source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(listen, 5000);
      }
    };
    on("rows", (data, event) => {
      data.rows.forEach(show);
      head(data);
      if (event.lastEventId) version = Number(event.lastEventId);
      say("");
    });
    on("cluster", (data) => replace(data.html));
    on("trouble", (data) => say(data.message));
    on("gone", (data) => say(data.message));
  };
  const close = () => { if (source) source.close(); source = undefined; };
  // A browser has few connections for a site; a page that nobody sees needs none.
  document.addEventListener("visibilitychange", () => document.hidden ? close() : listen());
  addEventListener("pagehide", () => { over = true; close(); });
  addEventListener("pageshow", () => { over = false; listen(); });

  if (table) {
    const value = (row, column) => row.cells[column].textContent.replace(/\u202f/g, "");
    const order = (column, sign) => {
      const all = [...rows.entries()];
      const numeric = [2, 3, 5].includes(column);
      if (sign) {
        all.sort(([one, a], [other, b]) => {
          const [x, y] = [value(a, column), value(b, column)];
          // What is not there comes last either way.
          if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1) || one - other;
          return sign * (numeric ? x - y : x < y ? -1 : x > y ? 1 : 0) || one - other;
        });
      } else all.sort(([one], [other]) => one - other);
      const blocks = [];
      for (let at = 0; at < all.length; at += BLOCK) {
        const block = document.createElement("tbody");
        block.setAttribute("role", "rowgroup");
        block.append(...all.slice(at, at + BLOCK).map(([, row]) => row));
        blocks.push(block);
      }
      table.querySelectorAll("tbody").forEach((block) => block.remove());
      table.append(...blocks);
    };
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      cell.textContent = "";
      cell.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[cell.getAttribute("aria-sort")] ?? "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) cell.setAttribute("aria-sort", next);
        order(column, { ascending: 1, descending: -1 }[next] || 0);
      });
    });

    const filter = find("filter"), complete = rows.size === Number(find("bar").max);
    if (complete) {
      filter.setAttribute("role", "button");
      filter.setAttribute("aria-pressed", "false");
      const toggle = (event) => {
        event.preventDefault();
        const on = table.classList.toggle("failed-only");
        filter.dataset.on = on ? "1" : "";
        filter.textContent = on ? "Show all" : "Show failed only";
        filter.setAttribute("aria-pressed", String(on));
      };
      filter.addEventListener("click", toggle);
      filter.addEventListener("keydown", (event) => { if (event.key === " ") toggle(event); });
    }

    const copy = find("copy");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      const shown = [...table.querySelectorAll("tbody tr")]
        .filter((row) => !table.classList.contains("failed-only") || row.dataset.state === "failed");
      const text = shown.map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n") + "\n";
      let copied = true;
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        // Only pages of HTTPS and of this machine have a clipboard.
        const area = document.createElement("textarea");
        area.value = text;
        document.body.append(area);
        area.select();
        copied = document.execCommand("copy");
        area.remove();
      }
      put(find("live"), copied ? "Copied " + shown.length + " rows" : "This browser lets nothing be copied here");
      copy.textContent = copied ? "Copied" : "Not copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 2000);
    });
  }

  localize(document);
  listen();
})();
