// What a panel needs from the browser, on the page where it is shown:
//  - typing a letter while a button has the focus must not run a notebook shortcut ("d d" deletes the cell);
//  - every control has a name that a screen reader can say;
//  - the kernel learns that somebody is looking (heavy things are made only then);
//  - text can be copied to the clipboard;
//  - a panel whose kernel was restarted says so.
const SUPPRESS = "data-lm-suppress-shortcuts"; // Lumino, which runs JupyterLab's shortcuts, skips such elements
const CONTROLS = "button, input, select, textarea, [role=slider], [contenteditable=true], [tabindex='0']";

function installOnce() {
  if (window.__metadialogGuard) return;
  window.__metadialogGuard = true;
  const guard = (event) => {
    const element = event.target;
    if (!(element instanceof Element) || !element.closest(".md-panel")) return;
    // Ctrl+S, Shift+Enter and the like stay JupyterLab's; plain keys belong to the focused control.
    const modified = event.type === "keydown" &&
      (event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter"));
    if (modified) element.removeAttribute(SUPPRESS);
    else element.setAttribute(SUPPRESS, "true");
  };
  window.addEventListener("focusin", guard, true);
  window.addEventListener("keydown", guard, true); // window in the capture phase comes before JupyterLab's document
}

// A control takes its name from the label beside it; the parts of one widget share the label.
function nameControls(panel) {
  for (const element of panel.querySelectorAll(CONTROLS)) {
    if (element.hasAttribute("aria-label") || element.closest(".js-live-plot")) continue;
    if (element.type === "checkbox" && element.labels.length) continue; // its text; the label beside it is invisible
    const box = element.closest(".jupyter-widgets, .widget-slider"); // a slider of choices lacks the first
    const label = box && box.querySelector(".widget-label");
    const text = (label && label.textContent.trim()) || (box && box.title) || element.title ||
      element.getAttribute("placeholder") || "";
    if (!text) continue;
    const typed = element.isContentEditable && element.tagName !== "INPUT";
    if (element.tagName === "BUTTON" && element.textContent.trim()) continue; // its own text is its name
    element.setAttribute("aria-label", typed ? `${text}, type a value` : text);
    if (typed && !element.hasAttribute("role")) element.setAttribute("role", "textbox");
  }
  for (const icon of panel.querySelectorAll("button i:not([aria-hidden])")) icon.setAttribute("aria-hidden", "true");
  for (const live of panel.querySelectorAll(".md-live")) {
    if (!live.hasAttribute("aria-live")) { live.setAttribute("role", "status"); live.setAttribute("aria-live", "polite"); }
  }
}

function render({ model, el }) {
  el.style.display = "none";
  installOnce();
  let panel = null, watcher = null;
  const attach = (tries) => {
    panel = el.closest(".md-panel");
    if (!panel) { if (tries > 0) setTimeout(attach, 50, tries - 1); return; }
    let planned = false;
    const plan = () => {
      if (planned) return;
      planned = true;
      setTimeout(() => { planned = false; nameControls(panel); }, 150); // a live curve changes often: not each time
    };
    watcher = new MutationObserver(plan);
    watcher.observe(panel, { childList: true, subtree: true });
    nameControls(panel);
    model.set("views", (model.get("views") || 0) + 1);
    model.save_changes();
  };
  attach(100);
  const copy = async (message) => {
    if (!message || message.copy === undefined) return;
    let done = true;
    try { await navigator.clipboard.writeText(message.copy); } catch { done = false; }
    model.send({ copied: done });
  };
  const dead = () => {
    if (!panel || panel.querySelector(".md-dead")) return;
    const note = document.createElement("div");
    note.className = "md-dead";
    note.setAttribute("role", "alert");
    note.textContent = "The kernel was restarted, so this panel is only a picture now. Run its cell again.";
    panel.prepend(note);
  };
  model.on("msg:custom", copy);
  model.on("comm_live_update", dead);
  return () => {
    watcher && watcher.disconnect();
    model.off("msg:custom", copy);
    model.off("comm_live_update", dead);
  };
}

export default { render };
