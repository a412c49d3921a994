const { Opik } = require("opik-edge");
const { serve } = require("./serve.js");

serve(Opik);
