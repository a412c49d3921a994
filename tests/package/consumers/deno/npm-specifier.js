import { Opik } from "npm:opik-edge";
import { serve } from "./serve.js";

serve(Opik);
