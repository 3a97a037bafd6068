import numpy as np
import pandas as pd
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def index() -> dict[str, float]:
    frame = pd.DataFrame({"weight": np.arange(10.0)})
    return {"mean": float(frame.weight.mean())}
