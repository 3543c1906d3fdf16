"""The model that model_server.cc serves: any class will do."""

import numpy as np


class Model:
    """Adds up the features, with weights 1, 2, 3 and so on."""

    def __init__(self, features: int) -> None:
        """Loads the model, once for all requests."""
        self.weights = np.arange(1, features + 1, dtype=np.float32)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """batch: requests x features, float32; the answers: requests x 1, float32."""
        return (batch @ self.weights).reshape(-1, 1)

    def describe(self) -> dict[str, str]:
        """What this is."""
        return {"name": "a weighted sum", "written in": "Python"}
