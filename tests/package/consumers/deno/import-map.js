import { Opik } from "opik-edge";
import { serve } from "./serve.js";

serve(Opik);
