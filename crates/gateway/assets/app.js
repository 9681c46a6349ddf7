// What pages cannot do without a script: copy, show at once, read a file, and the playground's stream.
(() => {
  "use strict";
  const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.querySelector(button.dataset.copy)?.textContent ?? "";
    const shown = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it";
    }
    setTimeout(() => { button.textContent = shown; }, 2000);
  });

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  document.addEventListener("change", async (event) => {
    const changed = event.target.closest("[data-submit-on-change]");
    (changed?.form ?? changed)?.requestSubmit();
    const into = event.target.dataset?.into;
    const file = event.target.files?.[0];
    if (into && file) {
      document.querySelector(into).value = await file.text();
      const name = document.querySelector("[data-file-name]");
      if (name) name.value = file.name;
    }
  });

  const talk = document.querySelector("[data-talk]");
  if (!talk) return;
  const field = (name) => talk.querySelector(`[name=${name}]`);
  const lines = talk.querySelector("[data-lines]");
  const send = talk.querySelector("[data-send]");
  const stop = talk.querySelector("[data-stop]");
  const price = talk.querySelector("[data-price]");
  const headers = { "content-type": "application/json", "x-csrf-token": csrf };
  const turns = [];
  let running = null;

  const body = (text) => JSON.stringify({
    model: field("model").value,
    messages: [
      ...(field("system").value.trim() ? [{ role: "system", content: field("system").value }] : []),
      ...turns,
      ...(text ? [{ role: "user", content: text }] : []),
    ],
    max_tokens: Math.max(1, Number.parseInt(field("max_tokens").value, 10) || 512),
    stream: true,
  });

  let waiting = 0;
  const estimate = () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const answer = await fetch("/playground/price", { method: "POST", headers, body: body(field("message").value) });
      if (answer.ok) price.innerHTML = await answer.text();
    }, 250);
  };

  const line = (kind, text) => {
    const element = document.createElement("div");
    element.className = `line ${kind}`;
    element.textContent = text;
    lines.querySelector(".empty")?.remove();
    lines.append(element);
    lines.scrollTop = lines.scrollHeight;
    return element;
  };

  const receipt = async (id, element) => {
    if (!id) return;
    const answer = await fetch(`/playground/receipts/${id}`);
    if (!answer.ok) return;
    const cost = document.createElement("span");
    cost.className = "cost";
    cost.innerHTML = await answer.text();
    element.append(cost);
    lines.scrollTop = lines.scrollHeight;
  };

  // Lines of server-sent events, as they come in pieces.
  const read = async (answer, each) => {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.startsWith("data:") ? part.slice(5).trim() : "";
        if (data && data !== "[DONE]") each(JSON.parse(data));
      }
    }
  };

  const ask = async (text) => {
    const request = body(text);
    line("mine", text);
    turns.push({ role: "user", content: text });
    const answer = line("", "…");
    running = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    let said = "";
    let id = null;
    try {
      const response = await fetch("/playground/chat", { method: "POST", headers, body: request, signal: running.signal });
      id = response.headers.get("x-request-id");
      if (!response.ok) {
        const problem = await response.json().catch(() => null);
        throw new Error(problem?.error?.message ?? `The answer was ${response.status}.`);
      }
      await read(response, (event) => {
        if (event.error) throw new Error(event.error.message ?? "The stream broke off.");
        said += event.choices?.[0]?.delta?.content ?? "";
        answer.textContent = said || "…";
        lines.scrollTop = lines.scrollHeight;
      });
    } catch (error) {
      if (error.name !== "AbortError") {
        answer.classList.add("fault");
        said ? line("fault", error.message) : (answer.textContent = error.message);
      } else if (!said) {
        answer.textContent = "Stopped.";
      }
    }
    if (said) turns.push({ role: "assistant", content: said });
    else turns.pop();
    running = null;
    send.disabled = false;
    stop.disabled = true;
    await receipt(id, answer);
    estimate();
  };

  talk.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field("message").value.trim();
    if (!text || running) return;
    field("message").value = "";
    ask(text);
  });
  field("message").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      talk.querySelector("form[data-ask]").requestSubmit();
    }
  });
  stop.addEventListener("click", () => running?.abort());
  talk.addEventListener("input", estimate);
  talk.querySelector("[data-clear]").addEventListener("click", () => {
    turns.length = 0;
    lines.replaceChildren();
    estimate();
  });
  estimate();
})();
