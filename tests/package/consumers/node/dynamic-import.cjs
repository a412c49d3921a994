Promise.all([import("opik-edge"), import("./serve.js")]).then(([{ Opik }, { serve }]) => serve(Opik));
