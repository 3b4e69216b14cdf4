// A plotly figure that a kernel draws into. The library (5 MB) is fetched from the kernel once a page and never stored
// in a notebook; numbers arrive as one binary buffer; every drawing is answered, so that the kernel never sends faster
// than this browser draws.
const LIBRARY = "__metadialogPlotly";

function library(model) {
  if (!window[LIBRARY]) {
    window[LIBRARY] = new Promise((resolve, reject) => {
      const before = window.Plotly;
      const take = (message, buffers) => {
        if (message.kind !== "library") return;
        model.off("msg:custom", take);
        const url = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
        const script = document.createElement("script");
        script.src = url;
        script.onload = () => {
          const made = window.Plotly;
          if (before) window.Plotly = before;
          URL.revokeObjectURL(url);
          resolve(made);
        };
        script.onerror = () => reject(new Error("plotly could not be loaded"));
        document.head.append(script);
      };
      model.on("msg:custom", take);
      model.send({ want: "library" });
    });
    window[LIBRARY].catch(() => { delete window[LIBRARY]; });
  }
  return window[LIBRARY];
}

// Arrays of numbers lie one after the other in the buffer; {at, length} says where. (Plain arrays have a method "at".)
function unpack(value, numbers) {
  return value && Number.isInteger(value.at) ? numbers.subarray(value.at, value.at + value.length) : value;
}

function render({ model, el }) {
  el.classList.add("js-live-plot");
  el.style.width = model.get("width") || "100%";
  el.style.minHeight = `${model.get("height")}px`;
  const plot = document.createElement("div");
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", "Curves. The line of text in this panel says what they show.");
  el.append(plot);
  let Plotly = null, gone = false, shown = 0;
  const answer = (n, took) => {
    let told = false;
    const tell = () => { if (!told && !gone) { told = true; model.send({ drawn: n }); } };
    const rest = Math.min(1000, (model.get("rest") || 0) * took); // leave the page to others for a while
    const frame = () => requestAnimationFrame(tell);
    if (rest) setTimeout(frame, rest); else frame();
    setTimeout(tell, 300 + rest); // a hidden page draws no frames
  };
  const draw = async (message, buffers) => {
    if (message.kind !== "draw" || !Plotly) return;
    const numbers = buffers.length ? new Float32Array(buffers[0].buffer.slice(
      buffers[0].byteOffset, buffers[0].byteOffset + buffers[0].byteLength)) : new Float32Array(0);
    const changes = {};
    message.traces.forEach((trace, i) => {
      for (const [name, value] of Object.entries(trace)) {
        (changes[name] ??= new Array(message.traces.length))[i] = unpack(value, numbers);
      }
    });
    const begun = performance.now();
    try { await Plotly.update(plot, changes, message.layout); } catch (error) { console.warn("live plot:", error); }
    answer(message.n, performance.now() - begun);
  };
  model.on("msg:custom", draw);
  const sizes = new ResizeObserver(() => {
    const wide = el.clientWidth;
    if (Plotly && wide && wide !== shown) { shown = wide; Plotly.Plots.resize(plot); }
  });
  library(model).then(async (loaded) => {
    if (gone) return;
    await loaded.newPlot(plot, structuredClone(model.get("traces")), structuredClone(model.get("frame")),
      { displayModeBar: false, responsive: false });
    Plotly = loaded;
    sizes.observe(el);
    model.send({ ready: true }); // now the kernel sends what there is to draw
  }, (error) => { plot.textContent = `The figure cannot be shown: ${error.message}`; });
  return () => {
    gone = true;
    sizes.disconnect();
    model.off("msg:custom", draw);
    if (Plotly) Plotly.purge(plot);
  };
}

export default { render };
