"""The Streamlit pages; they know the service only by HTTP."""
