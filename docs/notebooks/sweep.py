# %% [markdown]
# # Notebook sweep
# %%
print(1 + 1)
