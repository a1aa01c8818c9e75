"""Feature rows: what DNN, LSTM, CNN and CNN-LSTM see of any signal."""
