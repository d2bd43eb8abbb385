"""Models of the Hugging Face library: their attention, interventions, training and export."""
